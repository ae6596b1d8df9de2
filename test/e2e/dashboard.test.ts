/** The dashboard in the system's Chromium, over the address that a running lab prints. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Page } from "playwright-core";
import { present } from "../../src/base/error.ts";
import { projectRoot, skipWithoutRoot, startLab, type TestLab } from "../lab.ts";
import {
  desktop,
  momentOf,
  phone,
  picture,
  pictures,
  seriousIssues,
  TestBrowser,
  untilTrue,
} from "./browser.ts";

const pages = ["#/graph", "#/services", "#/services/shop/web", "#/nodes", "#/forecast/shop/web"];

const broken = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: catalogue, namespace: shop }
spec:
  hosts: [catalogue]
  http:
    - fault:
        abort: { httpStatus: 503, percentage: { value: 100 } }
      route:
        - destination: { host: catalogue }
`;

describe("the dashboard of a running lab", { skip: skipWithoutRoot }, () => {
  let lab: TestLab;
  let browser: TestBrowser;
  let page: Page;
  /** Without the token. */
  let origin: string;
  const at = (hash: string) => `${origin}/${hash}`;

  before(async () => {
    execFileSync("sh", [join(projectRoot, "scripts", "dashboard.sh")]);
    lab = await startLab();
    browser = await TestBrowser.start();
    const address = present((await lab.status()).dashboard, "address of the dashboard");
    origin = new URL(address).origin;
    page = await browser.open();
    await page.goto(address);
    await page.waitForSelector(edgeTo("web"));
  });
  after(async () => {
    await browser?.[Symbol.asyncDispose]();
    await lab?.[Symbol.asyncDispose]();
  });

  test("is signed in by its address, which keeps no token", async () => {
    assert.ok(!page.url().includes("token"), page.url());
    assert.equal(await page.evaluate("document.cookie"), "", "scripts see no cookie");
    const stranger = await browser.open(desktop, false);
    await stranger.goto(origin);
    await stranger.getByLabel("Administrator’s token").fill("heddle-admin.guess");
    await stranger.getByRole("button", { name: "Sign in" }).click();
    await stranger.getByText("not the administrator's token").waitFor();
    await stranger.context().close();
  });

  test("shows the graph when it is asked for, and says how long that took", async (t) => {
    const took: number[] = [];
    while (took.length < 3) {
      const next = await browser.beside(page);
      await next.goto(at("#/graph"));
      const shown = await momentOf(next, ".card");
      took.push(shown - Number(await next.evaluate("performance.timeOrigin")));
      await next.close();
    }
    // Less than a second on a machine with nothing else to do.
    t.diagnostic(`${took.map(Math.round).join(", ")} ms`);
  });

  test("shows traffic within two seconds of its start", async () => {
    const edge = edgeFrom("outside/outsider", "shop/web");
    assert.equal(await page.locator(edge).count(), 0);
    const seen = momentOf(page, edge);
    const { stdout } = await lab.exec(
      "outsider",
      ...["sh", "-c", "date +%s%3N; curl --silent http://web.shop/ >/dev/null"],
    );
    const ms = (await seen) - Number(stdout);
    assert.ok(ms < 2_000, `${ms} ms`);
  });

  test("leads from the graph to a service, to one of its endpoints, and back", async () => {
    await page.locator('[data-node="shop/cart"] a').click();
    await page.getByRole("heading", { name: "cart", level: 1 }).waitFor();
    await page.locator(".chart canvas").first().waitFor();
    const pod = present((await lab.pods("cart-"))[0], "pod of cart");
    await page.getByRole("link", { name: pod.name }).click();
    const endpoint = page.locator(`[data-endpoint="shop/${pod.name}"]`);
    await endpoint.getByText(present(pod.ip, "address")).waitFor();
    assert.equal(await endpoint.getByText(present(pod.node, "node")).count(), 1);
    const address = page.url();
    await page.goBack();
    await endpoint.waitFor({ state: "detached" });
    await page.goBack();
    await page.waitForSelector('[data-node="shop/cart"]');
    await page.waitForSelector("[data-layout=final]");
    const next = await browser.beside(page);
    await next.goto(address);
    await next.locator(`[data-endpoint="shop/${pod.name}"]`).waitFor();
    await next.close();
  });

  test("turns the edge of a service that a fault breaks, and shows the YAML to blame", async () => {
    await page.waitForSelector(`${edgeTo("catalogue")}[data-health="healthy"]`);
    await lab.apply(broken);
    await page.waitForSelector(`${edgeTo("catalogue")}[data-health="failing"]`);
    const next = await browser.beside(page);
    await next.goto(at("#/services/shop/catalogue"));
    await next.locator(".chip-fault", { hasText: "503" }).waitFor();
    await next.locator("summary", { hasText: "VirtualService" }).click();
    await next.locator("pre", { hasText: "httpStatus: 503" }).waitFor();
    await next.close();
    await lab.applyFiles(join(projectRoot, "examples", "shop", "mesh.yaml"));
    await page.waitForSelector(`${edgeTo("catalogue")}[data-health="healthy"]`);
  });

  test("shows what a NetworkPolicy refuses as a broken edge that names the policy", async () => {
    const refused = lab.curl("outsider", "-m", "4", "http://payments.shop/status");
    const edge = edgeFrom("outside/outsider", "shop/payments");
    await page.waitForSelector(`${edge}[data-health="refused"]`);
    assert.equal((await refused).code, 28, "curl timed out");
    const line = page.locator(".line-refused").first();
    assert.notEqual(await line.evaluate("line => getComputedStyle(line).strokeDasharray"), "none");
    await page.locator(edge).click();
    await page.locator(".inspector .callout", { hasText: "payments" }).waitFor();
    await page.getByRole("button", { name: "Close" }).click();
  });

  test("moves nothing while only numbers change", async () => {
    const places = () =>
      page.evaluate<string>(
        "JSON.stringify([...document.querySelectorAll('.react-flow__node')].map(n => n.style.transform))",
      );
    const before = await places();
    const stamp = await page.locator(".edge-list").innerText();
    await untilTrue(
      page,
      `document.querySelector(".edge-list").innerText !== ${JSON.stringify(stamp)}`,
    );
    assert.equal(await places(), before);
  });

  test("switches theme, and remembers it", async () => {
    const background = () =>
      page.evaluate<string>("getComputedStyle(document.body).backgroundColor");
    const light = await background();
    const button = page.getByRole("button", { name: /^Theme/ });
    await button.click(); // light
    assert.equal(await background(), light);
    await button.click(); // dark
    const dark = await background();
    assert.notEqual(dark, light);
    await page.reload();
    await page.waitForSelector(".card");
    assert.equal(await background(), dark);
    await button.click(); // as the system has it
    assert.equal(await background(), light);
  });

  test("breaks no rule of accessibility seriously, in light and dark", async () => {
    const issues: string[] = [];
    for (const theme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme: theme });
      for (const hash of pages) {
        await open(page, at(hash));
        issues.push(...(await seriousIssues(page)).map((issue) => `${hash} ${theme}: ${issue}`));
      }
    }
    await page.emulateMedia({ colorScheme: "light" });
    assert.deepEqual(issues, []);
  });

  test("fits a phone: no page is wider than the screen", async () => {
    await page.setViewportSize(phone);
    for (const hash of pages) {
      await open(page, at(hash));
      const width = await page.evaluate<number>("document.documentElement.scrollWidth");
      assert.equal(width, phone.width, hash);
      await page.getByRole("link", { name: "Graph", exact: true }).waitFor();
    }
    await open(page, at("#/graph"));
    await page.locator(".edge-list a").first().waitFor();
    await picture(page, join(pictures, "dashboard-phone.png"));
    await page.setViewportSize(desktop);
  });

  test("is photographed for the README (its forecasts: forecast.test.ts)", async () => {
    await open(page, at("#/graph"));
    await picture(page, join(pictures, "dashboard-graph.png"));
    await open(page, at("#/services/shop/catalogue"));
    await picture(page, join(pictures, "dashboard-service.png"));
    await page.emulateMedia({ colorScheme: "dark" });
    await open(page, at("#/nodes"));
    await picture(page, join(pictures, "dashboard-nodes.png"));
    await page.emulateMedia({ colorScheme: "light" });
  });

  test("has said no error on its console", () => {
    assert.deepEqual(browser.complaints, []);
  });

  test("says that the server is away, and goes on when it is back, still signed in", async () => {
    const witness = await browser.open(desktop, false);
    await witness.goto(present((await lab.status()).dashboard, "address"));
    await witness.waitForSelector(".card");
    const away = momentOf(witness, ".freshness-away");
    process.kill(present((await lab.status()).server.pid, "process of the server"), "SIGKILL");
    await away;
    assert.ok((await witness.locator(".card").count()) > 4, "what was last known stays");
    await witness.waitForSelector(".freshness-live");
    await witness.waitForSelector(edgeTo("web"));
  });
});

/** Goes there and waits until there is something to see. */
async function open(page: Page, address: string): Promise<void> {
  await page.goto(address);
  await untilTrue(
    page,
    `document.querySelector(".skeleton, .boot") === null && document.querySelector("h1") !== null`,
  );
  if (address.includes("#/graph")) await page.waitForSelector(".card");
  if (/services\/|forecast/.test(address)) await page.locator(".chart canvas").first().waitFor();
}

/** Of whatever protocol. */
function edgeFrom(source: string, destination: string): string {
  return `[data-edge^="${source} ${destination} "]`;
}

/** From web, or to it from the visitor. */
function edgeTo(service: string): string {
  return edgeFrom(service === "web" ? "shop/visitor" : "shop/web", `shop/${service}`);
}
