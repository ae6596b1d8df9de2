/** Starts the dashboard in the page. */
import { createRoot } from "react-dom/client";

const element = document.getElementById("app");
if (element !== null) createRoot(element).render(<main>Heddle</main>);
