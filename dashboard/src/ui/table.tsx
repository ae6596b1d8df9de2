/** A table that scrolls by itself where the screen is narrow. Numbers stand to the right. */

import type { ReactElement, ReactNode } from "react";

export interface Column<T> {
  readonly name: string;
  readonly isNumber?: true;
  /** Left out on narrow screens. */
  readonly isMinor?: true;
  readonly cell: (row: T) => ReactNode;
}

export function Table<T>({
  label,
  columns,
  rows,
  keyOf,
  isSelected,
}: {
  readonly label: string;
  readonly columns: readonly Column<T>[];
  readonly rows: readonly T[];
  readonly keyOf: (row: T) => string;
  readonly isSelected?: (row: T) => boolean;
}): ReactElement {
  const classOf = ({ isNumber, isMinor }: Column<T>) =>
    [isNumber && "number", isMinor && "minor"].filter(Boolean).join(" ");
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <section className="table-frame" aria-label={label} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column.name} scope="col" className={classOf(column)}>
                {column.name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={keyOf(row)} className={isSelected?.(row) ? "selected" : ""}>
              {columns.map((column) => (
                <td key={column.name} className={classOf(column)}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
