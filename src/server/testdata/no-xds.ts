/** Stands in for the xDS server where a test is about something else: nobody is ever connected. */

import type { StartXdsServer } from "../xds-server.ts";

export const noXds: StartXdsServer = async () => ({
  port: 0,
  close: async () => {},
  status: () => [],
  waitForVersion: async () => {},
});
