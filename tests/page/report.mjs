// Opens the reports and pictures of some runs from disk in headless Chromium, offline: `node report.mjs CASES`, where the file
// CASES says which run folders and where screenshots go. On a wide window and a narrow one, light and dark: nothing goes beyond
// the edge, no letter is too small, no barrier is found by axe, a picture by itself has a ground of the window's colour, and
// nothing is asked of the network.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename } from "node:path";
import { pathToFileURL } from "node:url";

const cases = JSON.parse(readFileSync(process.argv[2], "utf8"));
const require = createRequire(cases.modules);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const browser = await chromium.launch({ executablePath: cases.browser, args: ["--no-sandbox"] });

// The least size of a letter, in pixels of the screen.
const LEAST = 11;
// Lines of 64 letters in columns on a window of 400 pixels have some six each.
const LEAST_LONG = 6;

const smallest = page => page.evaluate(() => {
  const size = element => {
    const svg = element.ownerSVGElement;
    const outer = svg?.ownerSVGElement ?? svg;
    const scale = outer ? outer.getBoundingClientRect().width / outer.viewBox.baseVal.width : 1;
    return parseFloat(getComputedStyle(element).fontSize) * scale;
  };
  const said = [...document.querySelectorAll("*")].filter(element =>
    !element.closest("style, title, .aloud") && [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim() !== ""));
  return Math.min(...said.map(size));
});
const brightness = colour => colour.match(/[\d.]+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0) / 3;

for (const run of cases.runs) {
  for (const file of ["report.html", "loss.svg", "unmasking.svg", "names.svg"]) {
    for (const [width, colorScheme] of [[1200, "light"], [1200, "dark"], [400, "light"], [400, "dark"]]) {
      const title = `${basename(run)} ${file} ${width} ${colorScheme}`;
      const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme, reducedMotion: "reduce", offline: true });
      const page = await context.newPage();
      const url = pathToFileURL(`${run}/${file}`).href;
      const wrong = [];
      page.on("console", message => wrong.push(`console: ${message.text()}`));
      page.on("request", request => request.url() === url || wrong.push(`request: ${request.url()}`));
      await page.goto(url);
      const html = file.endsWith(".html");
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width, `${title}: nothing goes beyond the edge`);
      const least = await smallest(page);
      assert.ok(least >= (run.endsWith("long") && file === "names.svg" ? LEAST_LONG : LEAST), `${title}: letters of ${least} pixels`);
      const ground = await page.evaluate(() => getComputedStyle(document.body ?? document.documentElement).backgroundColor);
      assert.equal(brightness(ground) > 128, colorScheme === "light", `${title}: the ground is ${ground}`);
      if (html) {
        await page.evaluate(axe);
        const { violations } = await page.evaluate(() => window.axe.run());
        assert.deepEqual(violations.map(({ id, nodes }) => [id, ...nodes.map(node => node.html)]), [], title);
      }
      await page.screenshot({ path: `${cases.pictures}/${title.replaceAll(" ", "-")}.png`, fullPage: html });
      assert.deepEqual(wrong, [], title);
      await context.close();
    }
  }
}
await browser.close();
