/**
 * The system's Chromium for end-to-end tests: one page at a time, and everything that its console complained of.
 *
 * What runs inside the page is text: the types of a browser are not those of these tests.
 */

import { readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { MeshError } from "../../src/base/error.ts";
import { projectRoot } from "../lab.ts";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Where the README's pictures are; CI writes them elsewhere and leaves the tree as it is. */
export const pictures: string =
  process.env["HEDDLE_PICTURES"] === undefined
    ? join(projectRoot, "build", "test", "pictures")
    : join(projectRoot, "docs", "pictures");

export interface View {
  readonly width: number;
  readonly height: number;
  readonly theme: "light" | "dark";
}

export const desktop: View = { width: 1280, height: 800, theme: "light" };
export const phone: View = { width: 390, height: 844, theme: "light" };

export class TestBrowser implements AsyncDisposable {
  readonly #browser: Browser;
  /** Errors on the consoles of all pages that count. */
  readonly complaints: string[] = [];

  private constructor(browser: Browser) {
    this.#browser = browser;
  }

  /** With a profile of its own, which goes with it. */
  static async start(): Promise<TestBrowser> {
    const quiet = [
      "gpu",
      "quic",
      "background-networking",
      "component-update",
      "sync",
      "dev-shm-usage",
    ];
    return new TestBrowser(
      await chromium.launch({
        executablePath: "/usr/bin/chromium",
        args: [
          "--headless",
          "--no-sandbox",
          "--no-first-run",
          ...quiet.map((x) => `--disable-${x}`),
        ],
      }),
    );
  }

  /** A page in a context of its own: no cookies, nothing cached. */
  async open(view: View = desktop, isQuiet = true): Promise<Page> {
    const { width, height, theme } = view;
    const context = await this.#browser.newContext({
      viewport: { width, height },
      colorScheme: theme,
    });
    return this.#watched(context, isQuiet);
  }

  /** Another page of the same context: signed in where that one is. */
  async beside(page: Page): Promise<Page> {
    return this.#watched(page.context(), true);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#browser.close();
  }

  async #watched(context: BrowserContext, isQuiet: boolean): Promise<Page> {
    const page = await context.newPage();
    page.setDefaultTimeout(40_000);
    if (!isQuiet) return page;
    page.on("pageerror", (error) => this.complaints.push(`${page.url()}: ${error.message}`));
    page.on("console", (message) => {
      if (!["error", "warning"].includes(message.type())) return;
      this.complaints.push(`${page.url()}: ${message.type()}: ${message.text()}`);
    });
    return page;
  }
}

/** Rules of axe that the page breaks seriously, each with the elements. */
export async function seriousIssues(page: Page): Promise<readonly string[]> {
  await page.evaluate(axe);
  return page.evaluate<string[]>(`axe.run(document, { resultTypes: ["violations"] }).then(
    ({ violations }) => violations
      .filter(({ impact }) => impact === "serious" || impact === "critical")
      .map(({ id, nodes }) => id + ": " + nodes.slice(0, 4).map(({ target, failureSummary }) =>
        target.join(" ") + " " + failureSummary.split("\\n").slice(1).join("; ")).join(" | ")))`);
}

/** When the selector first matched, by the machine's clock. */
export async function momentOf(page: Page, selector: string): Promise<number> {
  await untilTrue(page, `document.querySelector(${JSON.stringify(selector)}) !== null`);
  return page.evaluate<number>("Date.now()");
}

/** Asked at every frame. (Playwright's own wait needs `eval` in the page, which the page's policy forbids.) */
export async function untilTrue(page: Page, expression: string, timeoutMs = 20_000): Promise<void> {
  const isTrue = await page.evaluate<boolean>(`new Promise((resolve) => {
    const end = performance.now() + ${timeoutMs};
    const look = () => {
      if (${expression}) resolve(true);
      else if (performance.now() > end) resolve(false);
      else requestAnimationFrame(look);
    };
    look();
  })`);
  if (!isTrue) throw new MeshError("test.page", `not so after ${timeoutMs} ms: ${expression}`);
}

export async function picture(page: Page, file: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await page.mouse.move(0, 0); // nothing is to look pointed at
  await page.screenshot({ path: file, animations: "disabled" });
}
