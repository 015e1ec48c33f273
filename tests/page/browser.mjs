// Opens a page from disk in headless Chromium, offline, and checks what a visitor would: `node browser.mjs CASES`, where the file
// CASES says which page, which names and where pictures go. Prints how long the first name took.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const cases = JSON.parse(readFileSync(process.argv[2], "utf8"));
const require = createRequire(cases.modules);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const url = pathToFileURL(cases.page).href;
const browser = await chromium.launch({ executablePath: cases.browser, args: ["--no-sandbox"] });

// A page with these settings in its link; whatever goes wrong in it is thrown when it is closed.
const visit = async (link, look = {}) => {
  const context = await browser.newContext({ viewport: { width: 1200, height: 900 }, ...look, offline: true });
  const page = await context.newPage();
  const wrong = [];
  page.on("console", message => wrong.push(`console: ${message.text()}`));
  page.on("pageerror", error => wrong.push(`error: ${error.message}`));
  page.on("request", request => request.url().startsWith("data:") || request.url().split("#")[0] === url || wrong.push(`request: ${request.url()}`));
  await page.goto(`${url}#${new URLSearchParams(link)}`);
  await page.waitForFunction(() => "ready" in document.documentElement.dataset);
  const close = async () => {
    await context.close();
    assert.deepEqual(wrong, []);
  };
  return { page, close };
};

const labels = page => page.locator("#names button").evaluateAll(buttons => buttons.map(button => button.getAttribute("aria-label")));
const names = async page => (await labels(page)).map(label => label.replace(/ copy$/, ""));
const command = page => page.locator("#command").textContent();
const shown = page => page.locator("#letters").getAttribute("aria-label");

// The names of `sample` for the same settings, and their copies.
for (const { link, expected } of cases.names) {
  const { page, close } = await visit(link);
  assert.deepEqual(await names(page), expected, JSON.stringify(link));
  const marked = (await labels(page)).filter(label => label.endsWith(" copy")).length;
  const copies = expected.filter(name => cases.training.includes(name)).length;
  assert.ok(marked >= copies && marked <= copies + 1, `${marked} marked of ${copies} copies`);
  assert.equal(await page.locator("#names .copy").count(), marked);
  await close();
}

// What emerges ends as the names, and without motion they are there at once.
{
  const { page, close } = await visit({});
  const texts = () => page.locator(".name").allInnerTexts();
  assert.notDeepEqual(await texts(), cases.names[0].expected, "they emerge");
  await page.waitForFunction(() => document.querySelector(".mask") === null && document.querySelector(".name span") === null);
  assert.deepEqual(await texts(), cases.names[0].expected);
  await close();
  const still = await visit({}, { reducedMotion: "reduce" });
  assert.deepEqual(await still.page.locator(".name").allInnerTexts(), cases.names[0].expected);
  await still.close();
}

// A pattern, typed; a wrong one says so and keeps the names; the link holds it; by keyboard alone.
{
  const { page, close } = await visit({});
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.id), "pattern");
  await page.keyboard.type("m?r?a");
  const kept = await names(page);
  assert.equal(kept.length, 20);
  for (const name of kept) assert.match(name, /^m.r.a$/);
  await page.waitForFunction(() => location.hash === "#pattern=m%3Fr%3Fa");
  await page.keyboard.type("ß");
  assert.match(await page.locator("#trouble").innerText(), /does not know the character “ß”/);
  assert.deepEqual(await names(page), kept);
  // What is shown goes on by the pattern that it was drawn by.
  await page.locator("#names button").nth(2).click();
  await page.locator("#step").press("End");
  assert.equal((await shown(page)).replaceAll(" ", ""), kept[2]);
  await page.locator("#more").click();
  for (const name of await names(page)) assert.match(name, /^m.r.a$/);
  assert.equal(await command(page), "micro-diffusion sample --model built-in-int4 --pattern 'm?r?a' --num 40");
  await page.waitForFunction(() => location.hash === "#pattern=m%3Fr%3Fa&name=3");
  await page.locator("#pattern").focus();
  await page.keyboard.press("End");
  await page.keyboard.press("Backspace");
  assert.equal(await page.locator("#trouble").isVisible(), false);
  assert.deepEqual(await names(page), kept);

  await page.locator("#step").focus();
  for (let step = 0; step < 2; step += 1) await page.keyboard.press("ArrowLeft");
  assert.equal(await shown(page), "m masked r masked a");
  assert.equal(await page.locator("#positions > li").count(), 2, "given letters have no bars");
  await page.keyboard.press("ArrowRight");
  const state = await shown(page);
  assert.match(state, /^m (masked r [a-z]|[a-z] r masked) a$/);
  await page.keyboard.press("ArrowRight");
  assert.equal((await shown(page)).replaceAll(" ", ""), kept[0]);

  await page.locator("#more").click();
  assert.equal((await names(page)).length, 40);
  await page.locator("#names button").nth(30).press("Enter");
  assert.equal((await page.locator("#names [aria-current=true]").getAttribute("aria-label")), (await labels(page))[30]);
  await page.waitForFunction(() => location.hash === "#pattern=m%3Fr%3Fa&name=31");
  const [link, all] = [page.url(), await names(page)];
  await close();
  const again = await visit(Object.fromEntries(new URLSearchParams(new URL(link).hash.slice(1))));
  assert.deepEqual(await names(again.page), all.slice(20));
  assert.equal((await shown(again.page)).replaceAll(" ", ""), all[30]);
  assert.match(await command(again.page), / --num 40 \| tail -n 20$/);
  // What no setting can be is the default, and a link that is typed into the same page counts.
  await again.page.evaluate(() => (location.hash = "#seed=-1&temperature=NaN&order=up&name=0"));
  await again.page.waitForFunction(() => document.querySelector("#pattern").value === "");
  assert.deepEqual(await names(again.page), cases.names[0].expected);
  await again.page.evaluate(() => (location.hash = "#seed=7"));
  await again.page.waitForFunction(() => document.querySelector("#seed").value === "7");
  await again.close();
}

// A link to the millionth name draws twenty.
{
  const { page, close } = await visit({ name: "999999" });
  assert.equal((await names(page)).length, 20);
  assert.equal((await shown(page)).replaceAll(" ", ""), (await names(page))[18]);
  await close();
}

// Stars alone and blanks are any text, and no option; a value that begins with a hyphen is not taken for an option.
for (const pattern of ["*", "****", " "]) {
  const { page, close } = await visit({ pattern });
  assert.deepEqual(await names(page), cases.names[0].expected, pattern);
  assert.equal(await command(page), `micro-diffusion sample --model built-in-int4${pattern === " " ? "" : ` --pattern '${pattern}'`}`);
  await close();
}

// A seed that is none says so; a new one mends it.
{
  const { page, close } = await visit({});
  await page.locator("#seed").fill("18446744073709551616");
  assert.equal(await page.locator("#trouble").innerText(), "A seed is a whole number from 0 to 18446744073709551615.");
  assert.equal(await page.locator("#seed").getAttribute("aria-invalid"), "true");
  assert.deepEqual(await names(page), cases.names[0].expected);
  await page.locator("#new-seed").click();
  assert.equal(await page.locator("#seed").getAttribute("aria-invalid"), "false");
  assert.equal(await page.locator("#trouble").isVisible(), false);
  // The focus stays on a button at the end of the steps.
  await page.locator("#forth").focus();
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "forth");
  assert.equal(await page.locator("#forth").getAttribute("aria-disabled"), "true");
  await close();
}

// From disk the link is its settings; without a clipboard it is shown.
{
  const { page, close } = await visit({ seed: "5" });
  await page.locator("#copy-link").click();
  await page.waitForFunction(() => document.querySelector("#copied").textContent.endsWith(": #seed=5"));
  await close();
}

// The page may load and send nothing, nor run what others wrote.
{
  const context = await browser.newContext({ offline: true });
  const page = await context.newPage();
  await page.goto(url);
  const refused = await page.evaluate(async () => {
    const refusal = attempt =>
      new Promise(resolve => {
        addEventListener("securitypolicyviolation", event => resolve(event.effectiveDirective), { once: true });
        attempt();
      });
    const added = (tag, key, value) => () => document.body.append(Object.assign(document.createElement(tag), { [key]: value }));
    return [
      await refusal(() => fetch("https://example.org/").catch(() => {})),
      await refusal(() => new WebSocket("wss://example.org/")),
      await refusal(added("img", "src", "https://example.org/image.png")),
      await refusal(added("script", "src", "https://example.org/script.js")),
      await refusal(added("iframe", "src", "https://example.org/")),
      await refusal(added("base", "href", "https://example.org/")),
    ];
  });
  assert.deepEqual(refused, ["connect-src", "connect-src", "img-src", "script-src-elem", "frame-src", "base-uri"]);
  await context.close();
}

// The bars of a step: probabilities that fall, the drawn letter among them.
{
  const { page, close } = await visit({ seed: "3" });
  const steps = Number(await page.locator("#step").getAttribute("max"));
  assert.ok(steps > 1);
  for (let step = steps; step >= 0; step -= 1) {
    const cards = await page.locator("#positions > li").evaluateAll(cards =>
      cards.map(card => [...card.querySelectorAll("ul li")].map(row => [row.className, parseFloat(row.querySelector(".share").textContent.replace("< ", ""))])));
    assert.equal(cards.length, steps);
    for (const rows of cards) {
      const shares = rows.map(([, share]) => share);
      assert.deepEqual(shares, [...shares].sort((one, other) => other - one));
      assert.ok(shares.length > 0 && shares.reduce((sum, share) => sum + share, 0) < 103);
    }
    assert.equal(cards.flat().filter(([drawn]) => drawn === "drawn").length, step, `letters drawn after step ${step}`);
    const wide = shares => shares.filter(share => share.offsetHeight > share.parentElement.offsetHeight || share.scrollWidth > share.clientWidth);
    assert.equal((await page.locator("#positions .share").evaluateAll(wide)).length, 0, "each share is on one line");
    if (step > 0) await page.locator("#back").click();
  }
  await close();
}

// Every look: nothing beyond the edge, and no barrier that axe finds.
for (const [width, colorScheme] of [[1200, "light"], [1200, "dark"], [400, "light"], [400, "dark"]]) {
  for (const [name, link] of [["", { seed: "4" }], ["-pattern", { pattern: "m*a", name: "2" }], ["-trouble", { pattern: "Ω" }]]) {
    const { page, close } = await visit(link, { viewport: { width, height: 900 }, colorScheme, reducedMotion: "reduce" });
    if (name === "-pattern") await page.locator("#back").click();
    assert.equal(await page.evaluate(() => document.scrollingElement.scrollWidth), width);
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => window.axe.run());
    assert.deepEqual(violations.map(({ id, nodes }) => [id, ...nodes.map(node => node.html)]), []);
    await page.screenshot({ path: `${cases.pictures}/page-${width}-${colorScheme}${name}.png`, fullPage: true });
    await close();
  }
}

// How long it takes, from the start of loading: the best of ten.
const times = [];
for (let visitor = 0; visitor < 10; visitor += 1) {
  const { page, close } = await visit({});
  times.push(await page.evaluate(() => performance.getEntriesByName("first name")[0].startTime));
  await close();
}
times.sort((one, other) => one - other);
console.log(`first name after ${times[0].toFixed(0)} ms at best, ${times[5].toFixed(0)} ms in the middle of ${times.length}`);
await browser.close();
