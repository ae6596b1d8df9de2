/** Starts the dashboard in the page. */

import { createRoot } from "react-dom/client";
import { App } from "./app.tsx";
import { applyTheme, keptTheme } from "./theme.ts";
import "./style/tokens.css";
import "./style/base.css";
import "./style/shell.css";
import "./style/parts.css";

applyTheme(keptTheme());
const element = document.getElementById("app");
if (element !== null) createRoot(element).render(<App />);
