import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { manifestIssues, parseManifests, renderManifestIssue } from "./manifest.ts";

describe("manifests", () => {
  const issuesIn = (text: string) => {
    const { objects, issues } = parseManifests(text, "shop.yaml");
    return [...issues, ...objects.flatMap(manifestIssues)].map(renderManifestIssue);
  };

  test("of several documents give each object its document and line", () => {
    const { objects, issues } = parseManifests(
      "# nothing here\n---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n---\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: b}\n",
      "two.yaml",
    );
    assert.deepEqual(issues, []);
    assert.deepEqual(
      objects.map(({ object, source, document, line }) => [
        object.metadata.name,
        source,
        document,
        line,
      ]),
      [
        ["a", "two.yaml", 1, 3],
        ["b", "two.yaml", 3, 9],
      ],
    );
  });

  test("lead from an issue to its line", () => {
    assert.deepEqual(
      issuesIn(
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\nspec:\n  ports:\n  - name: http\n    port: 70000\n",
      ),
      ["shop.yaml:8:5: Service web: spec.ports[0].port: must be 1..65535, got 70000"],
    );
  });

  test("that are malformed say where", () => {
    const [issue = ""] = issuesIn("apiVersion: v1\nkind: Service\n  metadata: {name: web\n");
    assert.match(issue, /^shop\.yaml:\d+:\d+: malformed YAML: /);
    assert.match(
      issuesIn("a: 1\na: 2\n")[0] ?? "",
      /^shop\.yaml:2:1: malformed YAML: map keys must be unique/,
    );
  });

  test("without what makes an object say what is missing, all of it", () => {
    assert.deepEqual(issuesIn("metadata: {}\n"), [
      "shop.yaml:1:1: apiVersion: is required",
      "shop.yaml:1:1: kind: is required",
      "shop.yaml:1:1: metadata.name: is required",
    ]);
    assert.deepEqual(issuesIn("- 1\n"), ["shop.yaml:1:1: must be an object, got list"]);
  });

  test("of an unknown kind or a wrong version name the nearest", () => {
    assert.deepEqual(
      issuesIn(
        "apiVersion: v1\nkind: Deploiment\nmetadata: {name: a}\n---\napiVersion: extensions/v1beta1\nkind: Deployment\nmetadata: {name: a}\n",
      ),
      [
        'shop.yaml:2:1: kind: must be a kind that Heddle knows, such as Deployment (apps/v1), got "Deploiment"',
        'shop.yaml:5:1: apiVersion: must be apps/v1 for Deployment, got "extensions/v1beta1"',
      ],
    );
  });

  test("of kind List are their items", () => {
    const { objects } = parseManifests(
      "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Namespace\n  metadata: {name: a}\n- apiVersion: v1\n  kind: Service\n  metadata: {name: b}\n  spec: {ports: [{port: 0}]}\n",
      "list.yaml",
    );
    assert.deepEqual(
      objects.map(({ object, line }) => [object.metadata.name, line]),
      [
        ["a", 4],
        ["b", 7],
      ],
    );
    assert.deepEqual(objects.flatMap(manifestIssues).map(renderManifestIssue), [
      "list.yaml:10:19: Service b: spec.ports[0].port: must be 1..65535, got 0",
    ]);
  });
});
