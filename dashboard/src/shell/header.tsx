/** The bar above every page; on a phone its pages move to the foot of the screen. */

import type { ReactElement } from "react";
import { useLive } from "../data/live.ts";
import { signOut } from "../data/session.ts";
import { formatAge } from "../format.ts";
import { hrefOf, type Route } from "../route.ts";
import { applyTheme, nextTheme, type Theme, useTheme } from "../theme.ts";
import { Icon, type IconName } from "../ui/icon.tsx";
import { useNow } from "../ui/use-now.ts";

interface Entry {
  readonly route: Route;
  readonly icon: IconName;
  readonly name: string;
  readonly pages: readonly Route["page"][];
}

const entries: readonly Entry[] = [
  { route: { page: "graph" }, icon: "graph", name: "Graph", pages: ["graph"] },
  {
    route: { page: "services" },
    icon: "services",
    name: "Services",
    pages: ["services", "service"],
  },
  { route: { page: "nodes" }, icon: "nodes", name: "Nodes", pages: ["nodes"] },
  { route: { page: "forecast" }, icon: "forecast", name: "Forecast", pages: ["forecast"] },
];

export function Header({ route }: { readonly route: Route }): ReactElement {
  return (
    <header className="header">
      <a className="brand" href={hrefOf({ page: "graph" })} aria-label="Heddle">
        <img src="/heddle.svg" alt="" width="22" height="22" />
        <span>Heddle</span>
      </a>
      <nav className="pages" aria-label="Pages">
        {entries.map((entry) => (
          <a
            key={entry.name}
            href={hrefOf(entry.route)}
            aria-current={entry.pages.includes(route.page) ? "page" : undefined}
          >
            <Icon name={entry.icon} />
            {entry.name}
          </a>
        ))}
      </nav>
      <Freshness />
      <ThemeButton />
      <button type="button" className="quiet" aria-label="Sign out" onClick={() => void signOut()}>
        <Icon name="sign-out" />
      </button>
    </header>
  );
}

const oldMs = 5_000;

function Freshness(): ReactElement {
  const { state, receivedAt } = useLive();
  const now = useNow();
  const ageMs = receivedAt === undefined ? undefined : Math.max(0, now - receivedAt);
  if (state === "away") {
    return (
      <span className="freshness freshness-away" role="status">
        <Icon name="warning" />
        <span>
          server away
          {ageMs !== undefined && <span className="wide"> · data from {formatAge(ageMs)}</span>}
        </span>
      </span>
    );
  }
  if (ageMs === undefined || state === "connecting") {
    return <span className="freshness">connecting</span>;
  }
  return (
    <span className={`freshness ${ageMs > oldMs ? "freshness-old" : "freshness-live"}`}>
      <i aria-hidden="true" />
      {ageMs > oldMs ? `data from ${formatAge(ageMs)}` : "live"}
    </span>
  );
}

const themeIcons: Readonly<Record<Theme, IconName>> = {
  system: "auto",
  light: "sun",
  dark: "moon",
};

function ThemeButton(): ReactElement {
  const theme = useTheme();
  const next = nextTheme(theme);
  return (
    <button
      type="button"
      className="quiet"
      aria-label={`Theme: ${theme}. Switch to ${next}`}
      title={`Theme: ${theme}`}
      onClick={() => applyTheme(next)}
    >
      <Icon name={themeIcons[theme]} />
    </button>
  );
}
