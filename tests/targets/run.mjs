// Runs the WebAssembly program of these checks: `node run.mjs PROGRAM`.
import { readFileSync, writeSync } from "node:fs";

const program = new WebAssembly.Module(readFileSync(process.argv[2]));
const write = (start, length) => writeSync(1, new Uint8Array(instance.exports.memory.buffer, start, length));
const instance = new WebAssembly.Instance(program, { place: { write } });
process.exitCode = instance.exports.run();
