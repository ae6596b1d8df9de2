/** What the C library has given away: what OpenSSL holds is there, and the heap of JavaScript is not. */

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import koffi from "koffi";

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

const counts = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost";
const fields = Object.fromEntries(counts.split(" ").map((name) => [name, "size_t"]));
const read = koffi.load(null as unknown as string).func("mallinfo2", koffi.struct(fields), []);

/** Once what nobody uses any more is collected. */
export function allocatedBytes(): number {
  collect();
  return read().uordblks;
}
