/** What a reader of heads must know in any case: the fields that say how messages are delimited. */

import { coreFields } from "../http1/field-names.ts";
import type { Vocabulary } from "./translated-head.ts";

/** For whoever looks fields up by their names. `te` can only say `trailers` in HTTP/2, which is no matter of delimiting. */
export const coreVocabulary: Vocabulary = {
  marks: new Map(coreFields.filter((name) => name !== "te").map((name, i) => [name, i + 1])),
  markCount: coreFields.length + 1,
  reasonOf: () => "",
};
