// A page that draws names: the settings, a list in which they emerge, and one of them step by step. What is drawn comes from
// the module, which exchanges whole numbers only; see core/examples/page.
"use strict";

const ORDERS = ["random", "confidence", "remask"];
const DEFAULTS = { pattern: "", temperature: "0.68", order: "random", seed: "1", name: "1" };
const NAMES = 20;
const MOST_SEED = 2n ** 64n - 1n;
// Symbols shown of a distribution.
const LIKELIEST = 5;
// Milliseconds from one state of the list to the next, and that all of them take at most; from one state of the lens to the next.
const LIST_PACE = 110;
const LIST_TIME = 2000;
const LENS_PACE = 700;
// Positions from which on names get lines of their own.
const LONG = 20;

const $ = id => document.getElementById(id);
const facts = JSON.parse($("facts").textContent);
const still = matchMedia("(prefers-reduced-motion: reduce)");

// The bytes of an element's text in base 85: five digits for four bytes, n + 1 for n at the end; ! stands for <.
const bytesOf = id => {
  const text = $(id).textContent;
  const bytes = new Uint8Array(Math.floor((text.length * 4) / 5));
  for (let from = 0, to = 0; from < text.length; from += 5) {
    let word = 0;
    for (let place = 0; place < 5; place += 1) {
      const code = from + place < text.length ? text.charCodeAt(from + place) : 119;
      word = word * 85 + (code === 33 ? 60 : code) - 35;
    }
    for (let shift = 24; shift >= 0 && to < bytes.length; shift -= 8) bytes[to++] = word >>> shift;
  }
  return bytes;
};
// The `length` bytes that `bytes` are, deflated. Neither a blob nor a response: those go by way of other processes.
const inflated = async (bytes, length) => {
  const stream = new DecompressionStream("deflate-raw");
  const writer = stream.writable.getWriter();
  const written = writer.write(bytes).then(() => writer.close());
  const out = new Uint8Array(length);
  const reader = stream.readable.getReader();
  let at = 0;
  for (let part; !(part = await reader.read()).done; at += part.value.length) out.set(part.value, at);
  await written;
  return out;
};

let model; // the module's functions
let alphabet = []; // the character of each symbol
let settings = { ...DEFAULTS };
let names = []; // the drawn texts
let step = 0;
let emerging, playing, linking; // timers
let copyOf = () => false;

// --- What the module does ------------------------------------------------------------------------------------------------

const open = async () => {
  const program = await inflated(bytesOf("program"), facts.program);
  const { instance } = await WebAssembly.instantiate(program.subarray(0, facts.module));
  model = instance.exports;
  const bytes = program.slice(facts.module);
  const view = new DataView(bytes.buffer);
  const whole = bytes.length & ~3;
  for (let at = 0; at < whole; at += 4) model.give(view.getUint32(at, true), 4);
  for (let at = whole; at < bytes.length; at += 1) model.give(bytes[at], 1);
  if (model.open() !== 0) throw new Error("the model in this page is damaged");
  for (let point; (point = model.character(alphabet.length)) !== 0; ) alphabet.push(String.fromCodePoint(point));
};

// Tells the module the settings; what is wrong with them, in words.
const tell = () => {
  const number = new DataView(new ArrayBuffer(8));
  number.setFloat64(0, Number(settings.temperature), true);
  const temperature = [number.getUint32(0, true), number.getUint32(4, true)];
  const seed = BigInt(settings.seed);
  model.settings(ORDERS.indexOf(settings.order), ...temperature, Number(seed & 0xffffffffn), Number(seed >> 32n));
  model.clear();
  const taken = [...prepared(settings.pattern)].every(character => model.letter(character.codePointAt(0)) === 0);
  const placed = taken ? model.place() : -2;
  if (placed === -1) return "A backslash needs a character after it.";
  if (placed === -2) return `That is too long: this model writes at most ${facts.positions} letters.`;
  if (placed === -3) return "That can be placed in too many ways; use fewer stars.";
  if (placed < -4) {
    const character = String.fromCodePoint(-5 - placed);
    return `The model does not know the character “${character}”. It writes: ${alphabet.join("")}`;
  }
  return "";
};

// A pattern as the command line prepares it: what cannot be seen is dropped, unless the model writes it.
const prepared = text => {
  const seen = [...text].filter(c => alphabet.includes(c) || !/\p{Default_Ignorable_Code_Point}/u.test(c)).join("");
  return (facts.lowercase ? seen.toLowerCase() : seen).normalize("NFC").trim();
};

// Text number `number`, from 0: its states, each a list of symbols from 1, or 0 for a mask.
const drawn = (number, looking) => {
  const count = model.draw(number, looking ? 1 : 0);
  const positions = [...Array(model.length()).keys()];
  const states = [...Array(count).keys()].map(state => positions.map(position => model.symbol(state, position)));
  return { states, text: states.at(-1).map(letter).join("") };
};

const letter = symbol => alphabet[symbol - 1] ?? "_";
const visible = character => (character.trim() === "" ? "␣" : character);

// --- Which names are copies ------------------------------------------------------------------------------------------------

// The training list as sorted hashes modulo `facts.modulus`, in the differences of Rice's code: a quotient in ones and a zero,
// then `facts.bits` bits.
const readList = () => {
  const bytes = bytesOf("training");
  let at = 0;
  const bit = () => (bytes[at >> 3] >> (at++ & 7)) & 1;
  const hashes = new Set();
  for (let index = 0, hash = 0; index < facts.hashes; index += 1) {
    let quotient = 0;
    while (bit() === 1) quotient += 1;
    let rest = 0;
    for (let place = 0; place < facts.bits; place += 1) rest |= bit() << place;
    hash += quotient * 2 ** facts.bits + rest;
    hashes.add(hash);
  }
  copyOf = text => hashes.has(hashOf(text) % facts.modulus);
};

// FNV-1a of 32 bits over UTF-8, mixed once more.
const hashOf = text => {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
};

// --- The list ----------------------------------------------------------------------------------------------------------------

const element = (tag, name, text) => {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (text !== undefined) made.textContent = text;
  return made;
};

// Shows `state` of `text` in `place`; at the end it is one piece of text, so that scripts whose letters join look right.
const showState = (place, text, state, before) => {
  const last = text.states.length - 1;
  if (state >= last && !before) {
    place.textContent = text.text;
    return;
  }
  place.replaceChildren(
    ...text.states[Math.min(state, last)].map((symbol, position) => {
      if (symbol === 0) return element("span", "mask");
      const fresh = before && before[position] !== symbol;
      return element("span", fresh ? "new" : "", letter(symbol));
    }),
  );
};

const addNames = count => {
  const first = names.length;
  for (let index = first; index < first + count; index += 1) {
    const text = drawn(index, false);
    const button = element("button");
    button.type = "button";
    text.place = element("span", "name");
    text.place.dir = "auto";
    button.append(text.place);
    button.addEventListener("click", () => choose(index, true));
    text.button = button;
    names.push(text);
    const item = element("li");
    item.append(button);
    $("names").append(item);
    showState(text.place, text, Infinity);
  }
  markChosen();
  markCopies();
  if (!still.matches) emerge(names.slice(first));
};

const markChosen = () =>
  names.forEach((text, index) => text.button.setAttribute("aria-current", String(index + 1) === settings.name));

// Marks the names that are on the training list.
const markCopies = () => {
  for (const text of names) {
    const copy = copyOf(text.text);
    text.button.setAttribute("aria-label", copy ? `${text.text} copy` : text.text);
    const mark = text.button.querySelector(".copy");
    if (copy && !mark) text.button.append(" ", element("span", "copy", "copy"));
    if (!copy && mark) mark.remove();
  }
};

const emerge = texts => {
  clearInterval(emerging);
  for (const text of names) if (!texts.includes(text)) showState(text.place, text, Infinity);
  let state = 0;
  const show = () => {
    let going = false;
    for (const text of texts) {
      const last = text.states.length - 1;
      if (state > last + 3) continue;
      going = true;
      // Some time after the last letter came, it becomes one piece of text.
      if (state === last + 3) showState(text.place, text, Infinity);
      else if (state <= last) showState(text.place, text, state, text.states[Math.max(0, state - 1)]);
    }
    state += 1;
    if (!going) clearInterval(emerging);
  };
  show();
  const most = Math.max(...texts.map(text => text.states.length));
  emerging = setInterval(show, Math.min(LIST_PACE, LIST_TIME / most));
};

// --- The lens ----------------------------------------------------------------------------------------------------------------

let looked; // the chosen text, with the likeliest symbols of each position in each step

const choose = (index, play) => {
  settings.name = String(index + 1);
  markChosen();
  stop();
  looked = drawn(index, true);
  const last = looked.states.length - 1;
  // Read before another text is drawn.
  looked.shares = looked.states.slice(0, -1).map((state, number) =>
    state.map((_, position) => {
      const shares = alphabet.map((_, symbol) => [symbol + 1, model.share(number, position, symbol) / 65535]);
      return shares.filter(([, share]) => share > 0).sort((one, other) => other[1] - one[1]);
    }),
  );
  looked.largest = Math.max(0.01, ...looked.shares.flat().map(shares => shares[0]?.[1] ?? 0));
  $("step").max = last;
  show(last);
  writeLink();
  if (play && !still.matches && last > 0) start();
};

// Where and in which step before `until` the letter at `position` was drawn last; undefined where it was given.
const drawnIn = (position, until) => {
  let found;
  for (let number = 0; number < until; number += 1) {
    const [before, after] = [looked.states[number][position], looked.states[number + 1][position]];
    const again = before === after && looked.shares[number][position].length > 0;
    if (after !== 0 && (before !== after || again)) found = number;
  }
  return found;
};

const percent = share => {
  if (share < 0.001) return "< 0.1 %";
  return share >= 0.0995 ? `${Math.round(share * 100)} %` : `${(share * 100).toFixed(1)} %`;
};

const show = to => {
  step = to;
  const last = looked.states.length - 1;
  const state = looked.states[step];
  $("step").value = step;
  $("step").setAttribute("aria-valuetext", `${step} of ${last}: ${spoken(state)}`);
  $("back").disabled = step === 0;
  $("forth").disabled = step === last;
  const latest = state.map((_, position) => step > 0 && drawnIn(position, step) === step - 1);
  const given = state.map((symbol, position) => symbol !== 0 && drawnIn(position, step) === undefined);
  $("letters").replaceChildren(
    ...state.map((symbol, position) => {
      const kind = symbol === 0 ? "hidden" : given[position] ? "given" : latest[position] ? "latest" : "";
      return element("span", kind, symbol === 0 ? "" : visible(letter(symbol)));
    }),
  );
  $("letters").setAttribute("aria-label", spoken(state));
  $("letters").setAttribute("role", "img");
  $("told").textContent = toldOf(state, last, latest);
  const cards = state.map((symbol, position) => !given[position] && cardOf(symbol, position));
  $("positions").replaceChildren(...cards.filter(card => card));
};

const spoken = state => state.map(symbol => (symbol === 0 ? "masked" : visible(letter(symbol)))).join(" ");

const toldOf = (state, last, latest) => {
  const masked = state.filter(symbol => symbol === 0).length;
  const named = state.map((symbol, position) => [symbol, position]).filter(([, position]) => latest[position]);
  const came = named.map(([symbol, position]) => `${visible(letter(symbol))} at ${position + 1}`).join(", ");
  const left = masked === 0 ? "Nothing is masked." : masked === 1 ? "One letter is masked." : `${masked} letters are masked.`;
  if (last === 0) return "Every letter was given.";
  return step === 0 ? `Before the first step. ${left}` : `Step ${step} of ${last}: ${came}. ${left}`;
};

// One position: what the model expects there now, or expected when the letter was drawn.
const cardOf = (symbol, position) => {
  const card = element("li");
  const from = symbol === 0 ? step : drawnIn(position, step);
  const heading = symbol === 0 ? "expected now" : `drawn in step ${from + 1}`;
  card.append(element("h3", "", `${position + 1}: ${heading}`));
  const shares = looked.shares[from][position];
  const likeliest = shares.slice(0, LIKELIEST);
  const own = shares.find(([other]) => other === symbol);
  if (symbol !== 0 && own && !likeliest.includes(own)) likeliest[likeliest.length - 1] = own;
  const list = element("ul");
  for (const [other, share] of likeliest) {
    const row = element("li", other === symbol ? "drawn" : "");
    const bar = element("span", "bar");
    bar.style.width = `${(share / looked.largest) * 100}%`;
    row.append(element("span", "", visible(letter(other))), bar, element("span", "share", percent(share)));
    list.append(row);
  }
  card.append(list);
  return card;
};

const start = () => {
  stop();
  show(0);
  $("play").textContent = "Stop";
  playing = setInterval(() => {
    show(step + 1);
    if (step === looked.states.length - 1) stop();
  }, LENS_PACE);
};

const stop = () => {
  clearInterval(playing);
  playing = undefined;
  $("play").textContent = "Play";
};

// --- Settings and the link ---------------------------------------------------------------------------------------------------

const readLink = () => {
  const link = new URLSearchParams(location.hash.slice(1));
  const read = { ...DEFAULTS };
  for (const key of Object.keys(read)) read[key] = link.get(key) ?? read[key];
  settings = sound(read);
};

// `read`, with the default in the place of what no setting can be.
const sound = read => {
  if (!/^\d{1,9}(\.\d{1,20})?$/.test(read.temperature)) read.temperature = DEFAULTS.temperature;
  if (!ORDERS.includes(read.order)) read.order = DEFAULTS.order;
  if (!isSeed(read.seed)) read.seed = DEFAULTS.seed;
  if (!/^\d{1,6}$/.test(read.name) || Number(read.name) < 1) read.name = DEFAULTS.name;
  return read;
};

const isSeed = text => /^\d{1,20}$/.test(text) && BigInt(text) <= MOST_SEED;

// What follows # in the address.
const link = () => {
  const link = new URLSearchParams();
  for (const [key, value] of Object.entries(settings)) if (value !== DEFAULTS[key]) link.set(key, value);
  return `#${link}`;
};

const writeLink = () => {
  // Not at every movement of a slider: some browsers allow a hundred changes in half a minute.
  clearTimeout(linking);
  linking = setTimeout(() => history.replaceState(null, "", link()), 200);
  const quoted = text => (/^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
  const option = key => (settings[key] === DEFAULTS[key] ? "" : ` --${key === "order" ? "sampler" : key} ${quoted(settings[key])}`);
  const options = ["pattern", "temperature", "order", "seed"].map(option).join("");
  $("terminal").hidden = facts.source === null;
  $("command").textContent = `micro-diffusion sample --model ${quoted(facts.source ?? "")}${options}`;
};

const fill = () => {
  $("pattern").value = settings.pattern;
  $("temperature").value = settings.temperature;
  $("temperature-shown").textContent = settings.temperature;
  $("order").value = settings.order;
  $("seed").value = settings.seed;
};

// Draws anew by the settings.
const refresh = index => {
  clearInterval(emerging);
  stop();
  const trouble = tell();
  $("trouble").hidden = trouble === "";
  $("trouble").textContent = trouble;
  $("pattern").setAttribute("aria-invalid", trouble !== "");
  if (trouble !== "") return;
  names = [];
  choose(index, false);
  performance.mark("first name");
  $("names").replaceChildren();
  addNames(Math.ceil((index + 1) / NAMES) * NAMES);
  $("halves").hidden = $("share").hidden = false;
};

const listen = () => {
  const changed = (id, event, key, value) =>
    $(id).addEventListener(event, () => {
      settings[key] = value($(id).value);
      fill();
      refresh(0);
    });
  $("pattern").addEventListener("input", () => {
    settings.pattern = $("pattern").value;
    refresh(0);
  });
  changed("temperature", "input", "temperature", String);
  changed("order", "change", "order", String);
  $("seed").addEventListener("input", () => {
    const text = $("seed").value.trim();
    const known = isSeed(text);
    $("seed").setAttribute("aria-invalid", !known);
    if (!known) return;
    settings.seed = text;
    refresh(0);
  });
  $("new-seed").addEventListener("click", () => {
    settings.seed = String(crypto.getRandomValues(new Uint32Array(1))[0] % 1000000);
    fill();
    refresh(0);
  });
  $("settings").addEventListener("submit", event => event.preventDefault());
  $("more").addEventListener("click", () => addNames(NAMES));
  $("again").addEventListener("click", () => emerge(names));
  $("step").addEventListener("input", () => (stop(), show(Number($("step").value))));
  $("back").addEventListener("click", () => (stop(), show(step - 1)));
  $("forth").addEventListener("click", () => (stop(), show(step + 1)));
  $("play").addEventListener("click", () => (playing === undefined ? start() : stop()));
  $("copy-link").addEventListener("click", async () => {
    const address = location.href.split("#")[0] + link();
    const copied = await navigator.clipboard.writeText(address).then(() => true, () => false);
    $("copied").textContent = copied ? "Copied." : address;
  });
  addEventListener("hashchange", () => {
    clearTimeout(linking);
    readLink();
    fill();
    refresh(Number(settings.name) - 1);
  });
};

const number = count => count.toLocaleString("en");

const main = async () => {
  await open();
  document.body.classList.toggle("long", facts.positions > LONG);
  if ([..."mra"].every(letter => alphabet.includes(letter))) $("pattern").placeholder = "m?r?a";
  readLink();
  fill();
  listen();
  refresh(Number(settings.name) - 1);
  document.documentElement.dataset.ready = "";
  const weights = facts.weights === "int4" ? "4-bit" : "8-bit";
  $("about").textContent =
    `Each name begins as masks alone, and its letters emerge one by one, each in the light of those already there. The model, ` +
    `a ${facts.network} of ${number(facts.parameters)} parameters in ${weights} integers, runs in this page.`;
  if (facts.hashes === 0) {
    $("copies").textContent = "This page does not know the list that the model was trained on, so that it marks no copies.";
    return;
  }
  $("copies").textContent =
    `Marked as a copy: what is among the ${number(facts.lines)} training names. Of new names, about one in ` +
    `${number(2 ** facts.bits)} is marked by mistake.`;
  readList();
  markCopies();
};

main().catch(error => {
  $("trouble").hidden = false;
  $("trouble").textContent = `This browser cannot run the model: ${error.message}`;
});
