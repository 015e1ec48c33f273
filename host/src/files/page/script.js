// Draws names: a form of settings, a list in which names emerge, and one of them step by step. The module of WebAssembly draws.
// Script and module exchange whole numbers only; see core/examples/page.
"use strict";

const ORDERS = ["random", "confidence"];
const DEFAULTS = { pattern: "", temperature: "0.68", order: "random", seed: "1", name: "1" };
const NAMES = 20;
const MOST_SEED = 2n ** 64n - 1n;
// How many symbols of a distribution are shown.
const LIKELIEST = 5;
// In milliseconds: the time of one state in the list, the most that all states there take, and the time of one state in the lens.
const LIST_PACE = 110;
const LIST_TIME = 2000;
const LENS_PACE = 700;
// Where a model has more positions than this, each name has a line of its own.
const LONG = 20;

const $ = id => document.getElementById(id);
const facts = JSON.parse($("facts").textContent);
const still = matchMedia("(prefers-reduced-motion: reduce)");

// Reads the bytes that the text of an element is in base 85: five digits are four bytes, and n + 1 at the end are n; ! stands for <.
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
// Inflates `bytes` to `length` bytes. A blob or a response would go by way of other processes, which takes longer.
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
let asked = { ...DEFAULTS }; // what the form says
let settings = { ...DEFAULTS }; // what the names on the page were drawn by: the last that could be
let first = 0; // the number of the first name in the list
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

// Tells the module to draw by `wanted`. Returns in words what is wrong with the seed or with the pattern.
const tell = wanted => {
  if (!isSeed(wanted.seed)) return { seed: `A seed is a whole number from 0 to ${MOST_SEED}.` };
  const number = new DataView(new ArrayBuffer(8));
  number.setFloat64(0, Number(wanted.temperature), true);
  const temperature = [number.getUint32(0, true), number.getUint32(4, true)];
  const seed = BigInt(wanted.seed);
  model.settings(ORDERS.indexOf(wanted.order), ...temperature, Number(seed & 0xffffffffn), Number(seed >> 32n));
  const pattern = place(prepared(wanted.pattern));
  return pattern ? { pattern } : {};
};

// Tells the module the pattern. Returns in words what is wrong with it, if anything is.
const place = pattern => {
  model.clear();
  const taken = [...pattern].every(character => model.letter(character.codePointAt(0)) === 0);
  const placed = taken ? model.place() : -2;
  if (placed === -1) return "A backslash needs a character after it.";
  if (placed === -2) return `That is too long: this model writes at most ${facts.positions} letters.`;
  if (placed === -3) return "That can be placed in too many ways; use fewer stars.";
  if (placed < -4) {
    const character = visible(String.fromCodePoint(-5 - placed));
    return `The model does not know the character “${character}”. It writes: ${alphabet.map(visible).join("")}`;
  }
  return "";
};

// Beside ? and * as beside a letter: a sigma before them does not end a word.
const inLowerCase = pattern => {
  const guarded = pattern.replace(/\\.|[?*]/gsu, part => (part.length > 1 ? part : `a${part}a`));
  return guarded.toLowerCase().replace(/a([?*])a/gu, "$1");
};

// A pattern as the command line prepares it: what cannot be seen is dropped, unless the model writes it.
const prepared = text => {
  const seen = [...text].filter(c => alphabet.includes(c) || !/\p{Default_Ignorable_Code_Point}/u.test(c)).join("");
  return (facts.lowercase ? inLowerCase(seen) : seen).normalize("NFC").trim();
};

// Text number `number`, from 0: its states, each a list of symbols from 1, or 0 for a mask.
const drawn = (number, looking) => {
  const count = model.draw(number, looking ? 1 : 0);
  const positions = [...Array(model.length()).keys()];
  const states = [...Array(count).keys()].map(state => positions.map(position => model.symbol(state, position)));
  return { states, text: states.at(-1).map(letter).join("") };
};

const letter = symbol => alphabet[symbol - 1] ?? "_";
// A character to be seen: a blank as ␣, and what shows nothing by its code point.
const visible = character => {
  if (character.trim() === "") return "␣";
  if (!/[\p{Cc}\p{Default_Ignorable_Code_Point}]/u.test(character)) return character;
  return `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
};

const RIGHT_TO_LEFT = ["Adlam", "Arabic", "Hanifi_Rohingya", "Hebrew", "Mandaic", "Nko", "Samaritan", "Syriac", "Thaana"];
const fromTheRight = new RegExp(`^\\P{L}*[${RIGHT_TO_LEFT.map(script => `\\p{Script=${script}}`).join("")}]`, "u");
// The direction of a finished text, which its first letter decides: while it is masked, nothing else says it.
const direction = text => (fromTheRight.test(text) ? "rtl" : "ltr");

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

// Shows `state` of `text` in `place`. The last state is one piece of text, so that letters join in the scripts where they do.
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
  const shown = names.length;
  for (let index = first + shown; index < first + shown + count; index += 1) {
    const text = drawn(index, false);
    const button = element("button");
    button.type = "button";
    text.place = element("span", "name");
    text.place.dir = direction(text.text);
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
  writeCommand();
  if (!still.matches) emerge(names.slice(shown));
};

const markChosen = () =>
  names.forEach((text, index) => text.button.setAttribute("aria-current", String(first + index + 1) === settings.name));

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
      // A name becomes one piece of text three states after its last letter.
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

let looked; // the chosen text, with the distribution of each position in each step

const choose = (index, play) => {
  settings.name = String(index + 1);
  markChosen();
  stop();
  looked = drawn(index, true);
  const last = looked.states.length - 1;
  // The module forgets them when it draws another text.
  looked.shares = looked.states.slice(0, -1).map((state, number) =>
    state.map((_, position) => {
      const shares = alphabet.map((_, symbol) => [symbol + 1, model.share(number, position, symbol) / 65535]);
      return shares.filter(([, share]) => share > 0).sort((one, other) => other[1] - one[1]);
    }),
  );
  looked.largest = Math.max(0.01, ...looked.shares.flat().map(shares => shares[0]?.[1] ?? 0));
  $("letters").dir = direction(looked.text);
  $("step").max = last;
  show(last);
  writeLink();
  if (play && !still.matches && last > 0) start();
};

// The step before `until` in which the letter at `position` was drawn last; undefined where it was given.
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
  // A disabled button would lose the focus.
  $("back").setAttribute("aria-disabled", step === 0);
  $("forth").setAttribute("aria-disabled", step === last);
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

// Shows what the model expects at one position, or what it expected when the letter there was drawn.
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
  asked = sound(read);
};

// Puts the default in the place of whatever in `read` no setting can be.
const sound = read => {
  if (!/^\d{1,9}(\.\d{1,20})?$/.test(read.temperature)) read.temperature = DEFAULTS.temperature;
  if (!ORDERS.includes(read.order)) read.order = DEFAULTS.order;
  if (!isSeed(read.seed)) read.seed = DEFAULTS.seed;
  if (!/^\d{1,6}$/.test(read.name) || Number(read.name) < 1) read.name = DEFAULTS.name;
  return read;
};

const isSeed = text => /^\d{1,20}$/.test(text) && BigInt(text) <= MOST_SEED;

// The settings as the address holds them, from # on.
const link = () => {
  const link = new URLSearchParams();
  for (const [key, value] of Object.entries(settings)) if (value !== DEFAULTS[key]) link.set(key, value);
  return `#${link}`;
};

const writeLink = () => {
  // A slider moves often, and some browsers allow a hundred changes in half a minute.
  clearTimeout(linking);
  linking = setTimeout(() => history.replaceState(null, "", link()), 200);
};

// Shows the command that prints the names of the list.
const writeCommand = () => {
  $("terminal").hidden = facts.source === null;
  if (facts.source === null) return;
  const { temperature, order, seed } = settings;
  const last = first + names.length;
  const options = { pattern: prepared(settings.pattern), temperature, sampler: order, seed, num: String(last) };
  const defaults = { ...DEFAULTS, sampler: DEFAULTS.order, num: String(NAMES) };
  const given = Object.entries(options).filter(([key, value]) => value !== defaults[key]);
  const sample = [["model", facts.source], ...given].map(([key, value]) => option(key, value)).join(" ");
  $("command").textContent = `micro-diffusion sample ${sample}${first > 0 ? ` | tail -n ${names.length}` : ""}`;
};

// An option as a shell takes it. A value that begins with a hyphen would be taken for an option by itself.
const option = (key, value) => {
  const quoted = /^[\w./-]+$/.test(value) ? value : `'${value.replaceAll("'", "'\\''")}'`;
  return `--${key}${value.startsWith("-") ? "=" : " "}${quoted}`;
};

const fill = () => {
  $("pattern").value = asked.pattern;
  $("temperature").value = asked.temperature;
  $("temperature-shown").textContent = asked.temperature;
  $("order").value = asked.order;
  $("seed").value = asked.seed;
};

// Draws anew by what the form says, and looks at name number `index`, from 0. Where that cannot be, what is shown stays, and goes on by
// the settings that it was drawn by.
const refresh = index => {
  const wrong = tell(asked);
  const trouble = Object.values(wrong).join(" ");
  $("trouble").hidden = trouble === "";
  $("trouble").textContent = trouble;
  for (const id of ["pattern", "seed"]) $(id).setAttribute("aria-invalid", id in wrong);
  if (trouble !== "") return tell(settings);
  clearInterval(emerging);
  stop();
  settings = { ...asked };
  names = [];
  // The twenty that the name is among: a link may ask for the millionth.
  first = Math.floor(index / NAMES) * NAMES;
  choose(index, false);
  performance.mark("first name");
  $("names").replaceChildren();
  addNames(NAMES);
  $("halves").hidden = $("share").hidden = false;
};

const listen = () => {
  const changed = (id, event, key, value) =>
    $(id).addEventListener(event, () => {
      asked[key] = value($(id).value);
      fill();
      refresh(0);
    });
  $("pattern").addEventListener("input", () => {
    asked.pattern = $("pattern").value;
    refresh(0);
  });
  changed("temperature", "input", "temperature", String);
  changed("order", "change", "order", String);
  $("seed").addEventListener("input", () => {
    asked.seed = $("seed").value.trim();
    refresh(0);
  });
  $("new-seed").addEventListener("click", () => {
    asked.seed = String(crypto.getRandomValues(new Uint32Array(1))[0] % 1000000);
    fill();
    refresh(0);
  });
  $("settings").addEventListener("submit", event => event.preventDefault());
  $("more").addEventListener("click", () => addNames(NAMES));
  $("again").addEventListener("click", () => emerge(names));
  $("step").addEventListener("input", () => (stop(), show(Number($("step").value))));
  $("back").addEventListener("click", () => (stop(), show(Math.max(0, step - 1))));
  $("forth").addEventListener("click", () => (stop(), show(Math.min(looked.states.length - 1, step + 1))));
  $("play").addEventListener("click", () => (playing === undefined ? start() : stop()));
  $("copy-link").addEventListener("click", async () => {
    $("copied").textContent = await shared();
  });
  addEventListener("hashchange", () => {
    clearTimeout(linking);
    readLink();
    fill();
    refresh(Number(asked.name) - 1);
  });
};

// Copies the address with the settings, where others can open it. Returns what to say.
const shared = async () => {
  // The address of a file is this computer's, and says where its user keeps things.
  if (location.protocol === "file:") return `This page is a file here. Where others find it, add to its address: ${link()}`;
  const address = location.href.split("#")[0] + link();
  // A page without encryption may have no clipboard.
  return (await navigator.clipboard?.writeText(address).then(() => "Copied.", () => address)) ?? address;
};

const number = count => count.toLocaleString("en");

const main = async () => {
  await open();
  document.body.classList.toggle("long", facts.positions > LONG);
  if ([..."mra"].every(letter => alphabet.includes(letter))) $("pattern").placeholder = "m?r?a";
  readLink();
  fill();
  listen();
  $("where").hidden = facts.comes_along;
  refresh(Number(asked.name) - 1);
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
