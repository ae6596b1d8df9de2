/** Writes objects as fast as it can and prints `name version` for each one acknowledged; killed by the crash test. */

import { configMap } from "../conformance.ts";
import { sqliteStore } from "../sqlite.ts";

const store = sqliteStore(process.argv[2] ?? "");
for (let round = 0; ; round++) {
  await Promise.all(
    ["a", "b", "c", "d", "e"].map(async (name) => {
      const object = configMap(name, { round: String(round) });
      const { metadata } = await (round === 0 ? store.create(object) : store.update(object));
      process.stdout.write(`${name} ${metadata.resourceVersion}\n`);
    }),
  );
}
