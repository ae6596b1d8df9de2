/** HPACK's static table (RFC 7541 Appendix A) and what both ends need to know of an entry. */

/** One header field, as the table or a block has it. Names are lower case, both are bytes as latin1. */
export class Field {
  readonly name: string;
  readonly value: string;
  /** RFC 7541 §7.1.3: whoever passes it on must not put it in a table either. */
  readonly isSensitive: boolean;
  /**
   * What the reader of the block found out about the field, 0 while it has not looked. It stays with the table's entry,
   * so that a field that comes with every request is judged once.
   */
  note = 0;
  /** `name: value` and a line end, once somebody wanted it. */
  line = "";

  constructor(name: string, value: string, isSensitive = false) {
    this.name = name;
    this.value = value;
    this.isSensitive = isSensitive;
  }
}

/** RFC 7541 §4.1: what an entry counts beyond its text. */
export const entryOverhead = 32;

const names =
  ":authority,:method,:method,:path,:path,:scheme,:scheme,:status,:status,:status,:status,:status,:status,:status," +
  "accept-charset,accept-encoding,accept-language,accept-ranges,accept,access-control-allow-origin,age,allow," +
  "authorization,cache-control,content-disposition,content-encoding,content-language,content-length," +
  "content-location,content-range,content-type,cookie,date,etag,expect,expires,from,host,if-match," +
  "if-modified-since,if-none-match,if-range,if-unmodified-since,last-modified,link,location,max-forwards," +
  "proxy-authenticate,proxy-authorization,range,referer,refresh,retry-after,server,set-cookie," +
  "strict-transport-security,transfer-encoding,user-agent,vary,via,www-authenticate";

const values: Readonly<Record<number, string>> = {
  2: "GET",
  3: "POST",
  4: "/",
  5: "/index.html",
  6: "http",
  7: "https",
  8: "200",
  9: "204",
  10: "206",
  11: "304",
  12: "400",
  13: "404",
  14: "500",
  16: "gzip, deflate",
};

/** Index 0 is nobody's. */
const staticNames: readonly string[] = ["", ...names.split(",")];
export const staticCount: number = staticNames.length - 1;

/** The static entries as fields of the caller's own, since readers put notes on them. */
export function staticFields(): readonly Field[] {
  return staticNames.map((name, index) => new Field(name, values[index] ?? ""));
}
