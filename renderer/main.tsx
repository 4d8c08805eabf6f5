import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app.tsx";
import { applyTheme, usePrefs } from "./store/kept/prefs.ts";
import { startRouting } from "./store/route.ts";
import "./style.css";

applyTheme(usePrefs.getState().theme);
startRouting();

const root = document.getElementById("root");
if (root === null) throw new Error("The page has no place to draw on.");
createRoot(root).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
