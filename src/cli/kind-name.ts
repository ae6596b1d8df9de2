/** Kinds as people write them: `Pod`, `pods`, `po`, `virtualservice`. */

import { type Kind, kinds } from "../api/kinds.ts";
import { MeshError } from "../base/error.ts";

/** Throws `cli.kind.unknown` with the kinds that there are. */
export function kindCalled(word: string): Kind {
  const name = word.toLowerCase();
  const found = kinds.find(({ kind, resource, shortName }) =>
    [kind.toLowerCase(), resource, shortName].includes(name),
  );
  if (found !== undefined) return found;
  const known = kinds.map(({ resource }) => resource).sort();
  throw new MeshError(
    "cli.kind.unknown",
    `unknown kind "${word}": want one of ${known.join(", ")}`,
    {
      fault: "user",
    },
  );
}
