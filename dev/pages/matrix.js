// Every page, in light and dark, on a phone, a tablet and a desk: accessibility, budgets and screenshots.

import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { gzipSync } from "node:zlib";

import { check, logIn, open, press, watched } from "./browser.js";
import { code } from "./factor.js";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const WIDTHS = [320, 768, 1280];
const SCHEMES = ["light", "dark"];
const LANGUAGES = ["hi", "de"];
/** What screenshots show. */
const SHOWN = new Set(["1280 light", "1280 dark", "320 light"]);
/** Compressed kilobytes, and requests. */
const BUDGET = { html: 25, css: 15, script: 20, requests: 8 };

/** Pages that links in mails open; the links are too old. */
const LINKED = ["/api/auth/reset-password?token=0", "/api/privacy"];
const ANONYMOUS = ["/ui", "/ui/login", "/ui/register", "/ui/forgot-password", "/ui/lots", "/ui/lots/1"];
const DRIVER = ["/ui/history", "/ui/figures", "/ui/exports", "/ui/profile", "/ui/second-factor", "/ui/confirm", "/ui/lots/1"];
const ADMIN = ["", "/lots", "/lots/new", "/lots/1", "/users", "/reports", "/unpaid", "/jobs", "/deliveries", "/audit", "/health"];

async function accessible(page, path, width, scheme) {
  await page.evaluate(AXE);
  const violations = await page.evaluate(async (tags) => {
    const found = await axe.run({ runOnly: tags });
    return found.violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html.slice(0, 120)).slice(0, 3).join(" | ")}`);
  }, RULES);
  for (const violation of violations) check(false, `${path} ${scheme} ${width}: ${violation}`);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  check(wide <= 0, `${path} is ${wide} px wider than ${width} px`);
}

async function measured(page, path) {
  const sizes = { html: 0, css: 0, script: 0 };
  for (const request of page.watched.requests) {
    const response = await request.response();
    const kind = { document: "html", stylesheet: "css", script: "script" }[request.resourceType()];
    if (kind && response?.ok()) sizes[kind] += gzipSync(await response.body()).length / 1024;
  }
  const times = await page.evaluate(async () => {
    const [navigation] = performance.getEntriesByType("navigation");
    const paint = await new Promise((resolve) => {
      new PerformanceObserver((list) => resolve(list.getEntries().at(-1).startTime)).observe({ type: "largest-contentful-paint", buffered: true });
      setTimeout(() => resolve(0), 500);
    });
    return { first: navigation.responseStart - navigation.requestStart, paint };
  });
  const requests = page.watched.requests.length;
  for (const [kind, size] of Object.entries(sizes)) check(size <= BUDGET[kind], `${path}: ${size.toFixed(1)} KB of ${kind}`);
  check(requests <= BUDGET.requests, `${path}: ${requests} requests`);
  const shown = Object.entries(sizes).map(([kind, size]) => `${kind} ${size.toFixed(1)} KB`).join(", ");
  console.log(`  ${path.padEnd(22)} ${shown}, ${requests} requests, first byte ${times.first.toFixed(0)} ms, paint ${times.paint.toFixed(0)} ms`);
}

/** The file of a page. */
function named(path, width, scheme, folder) {
  return `${folder}/${path.slice(4).replaceAll("/", "-") || "landing"}-${width}-${scheme}.png`;
}

/** What the page shows, in each scheme and width. */
async function examine(page, name, folder) {
  for (const scheme of SCHEMES) {
    await page.emulateMedia({ colorScheme: scheme });
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: 900 });
      await accessible(page, name, width, scheme);
      if (SHOWN.has(`${width} ${scheme}`)) {
        await page.screenshot({ path: named(name, width, scheme, folder), fullPage: true });
      }
    }
  }
}

/** `names` are those of the files, where a path has an id. */
async function visit(page, paths, folder, names = paths) {
  for (const [nth, path] of paths.entries()) {
    await page.setViewportSize({ width: 1280, height: 900 });
    await page.emulateMedia({ colorScheme: "light" });
    await open(page, path);
    await measured(page, path);
    await examine(page, names[nth], folder);
  }
  await translated(page, paths);
}

/** The same pages in the other languages, whose texts are longer. */
async function translated(page, paths) {
  await page.setViewportSize({ width: 320, height: 900 });
  await page.emulateMedia({ colorScheme: "light" });
  const cookie = { name: "parkade_language", domain: new URL(page.url()).hostname, path: "/" };
  for (const language of LANGUAGES) {
    await page.context().addCookies([{ ...cookie, value: language }]);
    for (const path of paths) {
      await open(page, path);
      check((await page.locator("html").getAttribute("lang")) === language, `${path} is not in ${language}`);
      await accessible(page, `${path} (${language})`, 320, "light");
    }
  }
  await page.context().addCookies([{ ...cookie, value: "en" }]);
}

/** The first press of the tabulator shows the way to the content, and focus is visible. */
async function keyboard(page) {
  await open(page, "/ui/login");
  await page.keyboard.press("Tab");
  const skip = await page.evaluate(() => document.activeElement.className);
  check(skip === "skip", `the first stop of the keyboard is ${skip}`);
  await page.keyboard.press("Enter");
  check((await page.evaluate(() => document.activeElement.id)) === "main", "the skip link does not lead to the content");
  for (let stop = 0; stop < 12; stop += 1) {
    await page.keyboard.press("Tab");
    const outline = await page.evaluate(() => {
      const focused = document.activeElement;
      return focused === document.body || getComputedStyle(focused).outlineStyle !== "none" ? "" : focused.outerHTML.slice(0, 80);
    });
    check(outline === "", `focus cannot be seen on ${outline}`);
  }
}

async function preferences(page, folder) {
  await page.emulateMedia({ forcedColors: "active", reducedMotion: "reduce" });
  await open(page, "/ui/lots");
  const moving = await page.evaluate(() => getComputedStyle(document.querySelector(".lot")).transitionDuration);
  check(moving.split(", ").every((time) => time === "0s"), `cards move for ${moving} although less motion is preferred`);
  await page.screenshot({ path: `${folder}/forced-colours.png` });
  await page.emulateMedia({ forcedColors: null, reducedMotion: null });
}

/** A driver who parks, leaves without paying, and exports. */
async function park(page, folder) {
  await visit(page, ["/ui/parking"], folder, ["/ui/parking-empty"]);
  const leave = page.getByRole("link", { name: "Leave and pay" });
  if (!(await leave.isVisible())) {
    await open(page, "/ui/lots/1");
    await press(page, "Book a spot now");
  }
  const stay = (await leave.getAttribute("href")).split("#")[0];
  await visit(page, ["/ui/parking", stay], folder, ["/ui/parking", "/ui/stay"]);
  await open(page, stay);
  await press(page, "Leave now");
  await open(page, "/ui/exports");
  await press(page, "Create the file");
  await page.getByRole("link", { name: "Download" }).waitFor();
  await visit(page, [stay, new URL(page.url()).pathname], folder, ["/ui/bill", "/ui/export"]);
}

/** Turns a second factor on and off again. */
async function enrol(page, password, folder) {
  await open(page, "/ui/second-factor");
  await page.getByLabel("Current password").fill(password);
  await press(page, "Turn it on");
  await examine(page, "/ui/second-factor-secret", folder);
  const secret = await page.locator("p code").innerText();
  await page.getByLabel("Code", { exact: true }).fill(code(secret));
  await press(page, "Confirm and turn on");
  await examine(page, "/ui/second-factor-codes", folder);
  await visit(page, ["/ui/second-factor"], folder, ["/ui/second-factor-on"]);
  await open(page, "/ui/second-factor");
  await press(page, "Turn off");
  await page.getByRole("link", { name: "Confirm this with a code" }).click();
  await page.getByLabel("Code", { exact: true }).fill(code(secret, 30));
  await press(page, "Confirm");
  await press(page, "Turn off");
}

/** A small picture of a page, as the README shows it. */
async function picture(page, path, file) {
  const state = { storageState: await page.context().storageState(), baseURL: new URL(page.url()).origin };
  const context = await page.context().browser().newContext({ ...state, viewport: { width: 1280, height: 868 }, deviceScaleFactor: 0.65625 });
  const other = await context.newPage();
  await other.goto(path);
  await other.screenshot({ path: file });
  await context.close();
}

/** A car that comes, leaves and is paid for. */
async function attend(page, folder) {
  await open(page, "/ui/work/lots/1");
  await page.getByLabel("Licence plate").fill("MH 01 AB 1234");
  await press(page, "Arrival");
  await page.getByLabel("Licence plate").fill("DL 3C 4321");
  await press(page, "Arrival");
  await examine(page, "/ui/work-arrival", folder);
  await page.getByLabel("Licence plate").fill("DL 3C 4321");
  await press(page, "Departure");
  const stay = new URL(page.url()).pathname;
  await picture(page, "/ui/work/lots/1", `${folder}/readme-work.png`);
  await visit(page, ["/ui/work", "/ui/work/lots/1", stay], folder, ["/ui/work", "/ui/work-lot", "/ui/work-stay"]);
  await open(page, stay);
  await page.getByLabel("Cash").check();
  await press(page, "Payment received");
  await visit(page, [stay], folder, ["/ui/work-receipt"]);
  await open(page, "/ui/work/lots/1");
  await page.getByLabel("Licence plate").fill("MH 01 AB 1234");
  await press(page, "Departure");
}

/** A page in a context of its own. Colours that fade from one scheme to the other would be measured on their way. */
function steady(browser, base) {
  return watched(browser, base, { reducedMotion: "reduce" });
}

export async function matrix(browser, base, { admin, driver, password }, folder) {
  mkdirSync(folder, { recursive: true });
  const anonymous = async () => {
    const page = await steady(browser, base);
    await visit(page, ANONYMOUS, folder);
    await visit(page, LINKED.slice(1), folder, ["/ui/privacy"]);
    await open(page, LINKED[0], 410);
    await examine(page, "/ui/link", folder);
    await keyboard(page);
    await preferences(page, folder);
  };
  const asDriver = async () => {
    const page = await steady(browser, base);
    await logIn(page, driver, password);
    await park(page, folder);
    await visit(page, DRIVER, folder);
    await enrol(page, password, folder);
  };
  const asOperator = async () => {
    const page = await steady(browser, base);
    await logIn(page, admin, password);
    await attend(page, folder);
    await visit(page, ADMIN.map((path) => `/ui/admin${path}`), folder);
  };
  await Promise.all([anonymous(), asDriver(), asOperator()]);
}
