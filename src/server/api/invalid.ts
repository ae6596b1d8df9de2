/** What the API answers to an object that must not be stored: every issue at once, as fields and as one line. */

import { type Issue, renderIssue } from "../../api/validate/issue.ts";
import { MeshError } from "../../base/error.ts";

export class InvalidObject extends MeshError {
  readonly issues: readonly Issue[];

  constructor(what: string, issues: readonly Issue[]) {
    super("api.invalid", `${what} is invalid: ${issues.map(renderIssue).join("; ")}`, {
      fault: "user",
    });
    this.issues = issues;
  }
}
