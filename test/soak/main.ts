/** `node test/soak/main.ts SECONDS`: the soak's report as one line of JSON; code 1 where a request failed. */

import { soak } from "./soak.ts";

const report = await soak(Number(process.argv[2] ?? 600));
process.stdout.write(`${JSON.stringify(report)}\n`);
process.exit(report.failures.length === 0 ? 0 : 1);
