/**
 * Regular expressions of RE2, which is what Istio's API and Envoy speak, written so that ECMAScript reads them alike.
 * What comes out is RE2 still, and stays as it is when it comes in again.
 *
 * Only the beginning may have flags, of which `(?i)` is left: without line breaks in what is matched the others mean
 * nothing. What RE2 has not (looking around, references back) is refused, and so is what ECMAScript cannot say (classes
 * of Unicode).
 *
 * Not here: whether parentheses and the like match. RegExp finds out.
 */

/** Throws SyntaxError that says what cannot be read. */
export function portableRegex(source: string): string {
  const [flags = "", given = ""] = /^\(\?([A-Za-z]+)\)/.exec(source) ?? [];
  checkFlags(given);
  const body = new Reader(source, flags.length).read();
  return given.includes("i") ? `(?i)${body}` : body;
}

/** The same; as it is where it cannot be read: whoever wrote it has been told, or the other dialect was meant. */
export function portableWhereRead(source: string): string {
  try {
    return portableRegex(source);
  } catch {
    return source;
  }
}

const posixClasses: Readonly<Record<string, string>> = {
  alnum: "0-9A-Za-z",
  alpha: "A-Za-z",
  ascii: "\\x00-\\x7F",
  blank: "\\t ",
  cntrl: "\\x00-\\x1F\\x7F",
  digit: "0-9",
  graph: "!-~",
  lower: "a-z",
  print: " -~",
  punct: "!-\\/:-@\\[-`{-~",
  space: "\\t\\n\\v\\f\\r ",
  upper: "A-Z",
  word: "0-9A-Za-z_",
  xdigit: "0-9A-Fa-f",
};

class Reader {
  readonly #source: string;
  #at: number;

  constructor(source: string, at: number) {
    this.#source = source;
    this.#at = at;
  }

  read(): string {
    let out = "";
    while (this.#at < this.#source.length) {
      const quoted = this.#take(/\\Q(.*?)(?:\\E|$)/sy);
      if (quoted !== undefined) out += (quoted[1] ?? "").replace(/[^0-9A-Za-z_]/g, "\\$&");
      else out += this.#escape(false) ?? this.#class() ?? this.#group() ?? this.#next();
    }
    return out;
  }

  #next(): string {
    return this.#source[this.#at++] ?? "";
  }

  /** What the expression finds right here. */
  #take(sticky: RegExp): RegExpExecArray | undefined {
    sticky.lastIndex = this.#at;
    const found = sticky.exec(this.#source) ?? undefined;
    if (found !== undefined) this.#at += found[0].length;
    return found;
  }

  #escape(isInClass: boolean): string | undefined {
    const code = this.#take(/\\x\{([0-9A-Fa-f]+)\}/y)?.[1];
    if (code !== undefined) {
      const value = Number.parseInt(code, 16);
      if (value > 0xff) throw new SyntaxError(`no characters beyond \\xFF: \\x{${code}}`);
      return `\\x${value.toString(16).padStart(2, "0")}`;
    }
    const found = this.#take(/\\(.)/sy);
    const letter = found?.[1];
    if (found === undefined || letter === undefined) return undefined;
    if (letter === "A" && !isInClass) return "^";
    if (letter === "z" && !isInClass) return "$";
    if (letter === "a") return "\\x07";
    if (letter === "p" || letter === "P") throw new SyntaxError("no classes of Unicode: \\p");
    if (/[1-9]/.test(letter)) throw new SyntaxError(`no references back: \\${letter}`);
    if (/[A-Za-z]/.test(letter) && !/[bBdDfnrsStvwWx]/.test(letter)) {
      throw new SyntaxError(`unknown escape: \\${letter}`);
    }
    return found[0];
  }

  #class(): string | undefined {
    const opening = this.#take(/\[\^?/y)?.[0];
    if (opening === undefined) return undefined;
    let out = opening;
    if (this.#take(/\]/y) !== undefined) out += "\\]"; // the first is one of them
    while (this.#at < this.#source.length) {
      const name = this.#take(/\[:(\^?\w+):\]/y)?.[1];
      if (name !== undefined) {
        const members = Object.hasOwn(posixClasses, name) ? posixClasses[name] : undefined;
        if (members === undefined) throw new SyntaxError(`unknown class: [:${name}:]`);
        out += members;
        continue;
      }
      if (this.#take(/\]/y) !== undefined) return `${out}]`;
      out += this.#escape(true) ?? this.#next();
    }
    return out;
  }

  #group(): string | undefined {
    if (this.#take(/\(\?P?<[A-Za-z_]\w*>/y) !== undefined) return "("; // nobody asks for it by name
    const found = this.#take(/\(\?([A-Za-z-]*)(:|\)|)/y);
    if (found === undefined) return undefined;
    const [written, flags = "", end] = found;
    if (end === "") throw new SyntaxError(`no looking around: ${written}${this.#next()}`);
    if (end === ")") throw new SyntaxError(`no flags but at the beginning: ${written}`);
    checkFlags(flags);
    const [on = "", off = ""] = flags.split("-");
    return `(?${on.includes("i") ? "i" : ""}${off.includes("i") ? "-i" : ""}:`;
  }
}

function checkFlags(flags: string): void {
  const unknown = flags.replace(/[ims-]/g, "");
  if (unknown !== "") throw new SyntaxError(`no flag ${unknown}`);
}
