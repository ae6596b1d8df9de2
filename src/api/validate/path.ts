/** The paths of issues, read back: `spec.http[0].match[1].headers["x-user"]`. */

/** A field's name, a map's key, or a list's index. */
export type Segment = string | number;

export function parsePath(path: string): readonly Segment[] {
  const segments: Segment[] = [];
  for (const [, key, index, field] of path.matchAll(
    /\[("(?:[^"\\]|\\.)*")\]|\[(\d+)\]|([^.[\]]+)/g,
  )) {
    if (key !== undefined) segments.push(String(JSON.parse(key)));
    else if (index !== undefined) segments.push(Number(index));
    else if (field !== undefined) segments.push(field);
  }
  return segments;
}
