/** The vocabulary of tests and tools that need no marks of their own. */

import { coreFields } from "../http1/field-names.ts";
import type { Vocabulary } from "./translated-head.ts";

export const testVocabulary: Vocabulary = {
  marks: new Map(coreFields.filter((name) => name !== "te").map((name, i) => [name, i + 1])),
  markCount: coreFields.length + 1,
  reasonOf: () => "",
};
