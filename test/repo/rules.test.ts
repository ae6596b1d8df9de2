/** The rules of the repository, executable. Layers are the linter's; what it cannot see is here. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, test } from "node:test";
import { filesBelow, read, root } from "./tree.ts";

const sources = filesBelow("src", ".ts");
const modules = sources.filter((path) => !path.endsWith(".test.ts"));

describe("the repository", () => {
  test("has a README in each folder of src that says purpose, entry, invariants and what is not there", () => {
    const folders = new Set(modules.map((path) => path.split("/").slice(0, 2).join("/")));
    for (const folder of folders) {
      if (folder.endsWith(".ts")) continue;
      const path = `${folder}/README.md`;
      assert.ok(existsSync(join(root, path)), `${path} is missing`);
      for (const word of ["Purpose", "Main entry", "Invariants", "Not here"]) {
        assert.match(read(path), new RegExp(word, "i"), `${path} does not speak of "${word}"`);
      }
    }
  });

  test("opens each module with a header comment", () => {
    const bare = modules.filter((path) => !/^(#!.*\n)?\s*\/\*\*/.test(read(path)));
    assert.deepEqual(bare, []);
  });

  test("imports what the layer table in ARCHITECTURE.md allows, and the linter forbids the rest", () => {
    const table = layerTable();
    assert.ok(table.size > 10);
    for (const path of modules) {
      const allowed = table.get(layerOf(path));
      const strangers = importsOf(path).filter(
        (to) => layerOf(to) !== layerOf(path) && allowed?.has(layerOf(to)) === false,
      );
      assert.deepEqual(strangers, [], `${path} imports what its layer may not`);
    }
    const linter = read("biome.json");
    for (const [layer, allowed] of table) {
      const message = linter.split("\n").find((line) => line.includes(`"${layer} may import`));
      if (message === undefined) continue; // it may import everything, or is C
      const names = /may import ([a-z, ]+) only/.exec(message)?.[1]?.split(", ") ?? [];
      const said = names.filter((name) => name !== "no other layer" && name !== layer);
      assert.deepEqual(said.sort(), [...allowed].sort(), `${layer} in biome.json`);
    }
  });

  test("examines in tests of properties what the run before did", () => {
    const tests = [...sources, ...filesBelow("test", ".ts")].filter((path) =>
      path.endsWith(".test.ts"),
    );
    const unseeded = tests.filter((path) => /^import .* from "fast-check"/m.test(read(path)));
    assert.deepEqual(unseeded, [], "test/property.ts has fast-check with a seed");
  });

  test("has no import cycle", () => {
    const imports = new Map(modules.map((path) => [path, importsOf(path)]));
    const done = new Set<string>();
    const visit = (path: string, trail: readonly string[]): void => {
      assert.ok(!trail.includes(path), `import cycle: ${[...trail, path].join(" → ")}`);
      if (done.has(path)) return;
      for (const next of imports.get(path) ?? []) visit(next, [...trail, path]);
      done.add(path);
    };
    for (const path of imports.keys()) visit(path, []);
  });

  test("gives a reason for each runtime dependency, and lists no other", () => {
    const manifest = JSON.parse(read("package.json"));
    const wanted = Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies });
    const table = read("docs/reference/dependencies.md")
      .split("\n")
      .filter((line) => line.startsWith("| `"))
      .flatMap((line) =>
        [...(line.split("|")[1] ?? "").matchAll(/`([^`]+)`/g)].map((match) => match[1]),
      );
    assert.deepEqual(table.sort(), wanted.sort());
  });

  test("documents each error code, and only codes that exist", () => {
    const used = new Set<string>();
    for (const path of modules) {
      for (const match of read(path).matchAll(/new MeshError\(\s*"([^"]+)"/g))
        used.add(match[1] ?? "");
    }
    const documented = new Set(
      [...read("docs/reference/errors.md").matchAll(/^\| `([a-z0-9.-]+)`/gm)].map(
        (match) => match[1] ?? "",
      ),
    );
    const missing = [...used].filter((code) => !documented.has(code)).sort();
    assert.deepEqual(missing, [], "codes without a row in docs/reference/errors.md");
  });

  test("names the ports of the code in ARCHITECTURE.md", () => {
    const block = /export const ports = \{([^}]*)\}/.exec(read("src/model/names.ts"))?.[1] ?? "";
    const numbers = [...block.matchAll(/: (\d+)/g)].map((match) => match[1] ?? "");
    assert.ok(numbers.length > 5);
    for (const number of numbers) {
      assert.match(read("ARCHITECTURE.md"), new RegExp(`^\\| ${number}(/udp)? \\|`, "m"));
    }
  });

  test("runs every test it has: no .only and no unexplained skip", () => {
    for (const path of [...sources, ...filesBelow("test", ".ts")]) {
      if (path === "test/repo/rules.test.ts") continue;
      assert.doesNotMatch(read(path), /\b(test|describe|it)\.(only|todo)\(/, path);
    }
  });

  test("mentions no path of a machine it was written on", () => {
    const machinePath = new RegExp(`(^|[^A-Za-z0-9_.-])/(${"wo"}rk|${"fa"}rm)/[A-Za-z.]`);
    for (const path of [
      ...sources,
      ...filesBelow("test", ".ts"),
      ...filesBelow("docs", ".md"),
      ...filesBelow("scripts", ".sh"),
    ]) {
      assert.doesNotMatch(read(path), machinePath, path);
    }
  });
});

/** `base` for src/base/ip.ts; the composition root is a layer of its own, which the table does not have. */
function layerOf(path: string): string {
  return path.split("/")[1] ?? "";
}

/** What each layer may import, by ARCHITECTURE.md. */
function layerTable(): ReadonlyMap<string, ReadonlySet<string>> {
  const rows = [
    ...read("ARCHITECTURE.md").matchAll(/^\| ((?:`[a-z]+`(?:, )?)+) \| .* \| (.*) \|$/gm),
  ]
    .map(([, names = "", may = ""]) => ({ layers: wordsOf(names), may }))
    .filter(({ layers }) => layers.every((layer) => existsSync(join(root, "src", layer))));
  const all = rows.flatMap(({ layers }) => layers);
  const table = new Map<string, ReadonlySet<string>>();
  for (const { layers, may } of rows) {
    const [plain = "", further] = may.split(" (+ ");
    const excepted = plain.startsWith("all but ") ? wordsOf(plain.slice(8)) : [];
    const named = plain.startsWith("all")
      ? all.filter((layer) => !excepted.includes(layer))
      : wordsOf(plain);
    const [added = "", whom = ""] = further?.split(" for ") ?? [];
    for (const layer of layers) {
      const more = wordsOf(whom).includes(layer) ? wordsOf(added) : [];
      table.set(layer, new Set([...named, ...more].filter((name) => name !== layer)));
    }
  }
  return table;
}

function wordsOf(text: string): readonly string[] {
  return [...text.matchAll(/[a-z]+/g)].map(([word]) => word).filter((word) => word !== "and");
}

function importsOf(path: string): readonly string[] {
  const found: string[] = [];
  for (const match of read(path).matchAll(
    /^(?:import|export)\b(?!\s+type\b)[^;]*?from\s+"(\.[^"]+)"/gms,
  )) {
    found.push(normalize(join(dirname(path), match[1] ?? "")));
  }
  return found.filter((target) => modules.includes(target));
}
