/** Light, dark, or as the system has it; remembered by the browser. */

import { useSyncExternalStore } from "react";

export type Theme = "system" | "light" | "dark";

const key = "heddle-theme";
const listeners = new Set<() => void>();
const systemIsDark = window.matchMedia("(prefers-color-scheme: dark)");
systemIsDark.addEventListener("change", announce);

export function keptTheme(): Theme {
  const kept = localStorage.getItem(key);
  return kept === "light" || kept === "dark" ? kept : "system";
}

export function applyTheme(theme: Theme): void {
  localStorage.setItem(key, theme);
  if (theme === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme;
  announce();
}

export function nextTheme(theme: Theme): Theme {
  return theme === "system" ? "light" : theme === "light" ? "dark" : "system";
}

export function useTheme(): Theme {
  return useSyncExternalStore(subscribe, keptTheme);
}

/** What is on the screen: for what is painted and not styled, as charts are. */
export function useIsDark(): boolean {
  return useSyncExternalStore(subscribe, () => {
    const theme = keptTheme();
    return theme === "system" ? systemIsDark.matches : theme === "dark";
  });
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function announce(): void {
  for (const listener of listeners) listener();
}
