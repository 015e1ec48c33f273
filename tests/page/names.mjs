// Prints the names that a page's module draws: `node names.mjs PAGE ORDER TEMPERATURE SEED COUNT [PATTERN]`.
import { readFileSync } from "node:fs";
import { inflateRawSync } from "node:zlib";

const [path, order, temperature, seed, count, pattern = ""] = process.argv.slice(2);
const page = readFileSync(path, "utf8");
const text = id => page.match(new RegExp(`id="${id}">([^<]*)<`))[1];
const facts = JSON.parse(text("facts"));
// Base 85 in big numbers, of all that fills a group.
const bytesOf = text => {
  const groups = text.replaceAll("!", "<").padEnd(Math.ceil(text.length / 5) * 5, "w").match(/.{5}/g) ?? [];
  const words = groups.map(group => [...group].reduce((word, digit) => word * 85 + digit.charCodeAt(0) - 35, 0));
  const bytes = Buffer.alloc(words.length * 4);
  words.forEach((word, index) => bytes.writeUInt32BE(word, index * 4));
  return bytes.subarray(0, Math.floor((text.length * 4) / 5));
};
const program = inflateRawSync(bytesOf(text("program")));
const { instance } = await WebAssembly.instantiate(program.subarray(0, facts.module));
const model = instance.exports;
for (const byte of program.subarray(facts.module)) model.give(byte, 1);
if (model.open() !== 0) throw new Error("the model does not open");

const halves = new DataView(new ArrayBuffer(8));
halves.setFloat64(0, Number(temperature), true);
const low = Number(BigInt(seed) & 0xffffffffn);
const high = Number(BigInt(seed) >> 32n);
model.settings(["random", "confidence"].indexOf(order), halves.getUint32(0, true), halves.getUint32(4, true), low, high);
for (const character of pattern) model.letter(character.codePointAt(0));
const placed = model.place();
if (placed < 0) throw new Error(`the pattern cannot be placed: ${placed}`);
for (let number = 0; number < Number(count); number += 1) {
  const last = model.draw(number, number & 1) - 1;
  const positions = [...Array(model.length()).keys()];
  console.log(positions.map(position => String.fromCodePoint(model.character(model.symbol(last, position) - 1))).join(""));
}
