/** Header operations: `set` overwrites, `add` appends, `remove` removes. */

import type { HeaderEdit } from "../../model/proxy-config.ts";
import { required } from "./field.ts";
import type { HeaderValueOption } from "./gen/message-types.ts";
import { AppendAction } from "./gen/messages.ts";

interface EditFields {
  readonly requestHeadersToAdd?: readonly HeaderValueOption[] | undefined;
  readonly requestHeadersToRemove?: readonly string[] | undefined;
  readonly responseHeadersToAdd?: readonly HeaderValueOption[] | undefined;
  readonly responseHeadersToRemove?: readonly string[] | undefined;
}

interface Edits {
  readonly requestHeaders?: HeaderEdit;
  readonly responseHeaders?: HeaderEdit;
}

export function encodeEdits(edits: Edits): EditFields {
  return {
    ...(edits.requestHeaders === undefined
      ? {}
      : {
          requestHeadersToAdd: encodeValues(edits.requestHeaders),
          requestHeadersToRemove: edits.requestHeaders.remove,
        }),
    ...(edits.responseHeaders === undefined
      ? {}
      : {
          responseHeadersToAdd: encodeValues(edits.responseHeaders),
          responseHeadersToRemove: edits.responseHeaders.remove,
        }),
  };
}

export function decodeEdits(fields: EditFields, path: string): Edits {
  const request = decodeEdit(
    fields.requestHeadersToAdd,
    fields.requestHeadersToRemove,
    `${path}.request_headers_to_add`,
  );
  const response = decodeEdit(
    fields.responseHeadersToAdd,
    fields.responseHeadersToRemove,
    `${path}.response_headers_to_add`,
  );
  return {
    ...(request === undefined ? {} : { requestHeaders: request }),
    ...(response === undefined ? {} : { responseHeaders: response }),
  };
}

function encodeValues(edit: HeaderEdit): HeaderValueOption[] {
  return [
    ...edit.set.map(([key, value]) => ({
      header: { key, value },
      appendAction: AppendAction.OVERWRITE_IF_EXISTS_OR_ADD,
    })),
    ...edit.add.map(([key, value]) => ({
      header: { key, value },
      appendAction: AppendAction.APPEND_IF_EXISTS_OR_ADD,
    })),
  ];
}

function decodeEdit(
  values: readonly HeaderValueOption[] | undefined,
  remove: readonly string[] | undefined,
  path: string,
): HeaderEdit | undefined {
  if ((values ?? []).length === 0 && (remove ?? []).length === 0) return undefined;
  const set: [string, string][] = [];
  const add: [string, string][] = [];
  for (const [index, option] of (values ?? []).entries()) {
    const key = required(option.header?.key, `${path}[${index}].header.key`);
    const overwrite = option.appendAction === AppendAction.OVERWRITE_IF_EXISTS_OR_ADD;
    (overwrite ? set : add).push([key, option.header?.value ?? ""]);
  }
  return { set, add, remove: remove ?? [] };
}
