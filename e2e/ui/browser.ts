/** A real Chromium on the product's user interface. */
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import type { Product } from "../product/serve.ts";

export interface Look {
  width?: number;
  height?: number;
  colorScheme?: "light" | "dark";
}

/** Starts the browser that `npm test` found or installed. */
export function startBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env["CHROMIUM_PATH"] || "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/** A window that is signed in to the product, on the given route (`#/…`). */
export async function openDesk(browser: Browser, product: Product, route = "", look: Look = {}): Promise<Page> {
  const context: BrowserContext = await browser.newContext({
    viewport: { width: look.width ?? 1280, height: look.height ?? 800 },
    colorScheme: look.colorScheme ?? "light",
  });
  await context.addInitScript(
    ([key, token]) => localStorage.setItem(key ?? "", token ?? ""),
    ["longhaul.token", product.token],
  );
  const page = await context.newPage();
  await page.goto(`${product.url}/${route}`);
  return page;
}
