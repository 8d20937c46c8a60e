// A real browser, which comes in an npm package.
import chromium from "@sparticuz/chromium";
import { type Browser, chromium as launcher, type Page } from "playwright-core";

/**
 * Flags that the package sets for AWS Lambda and a test must not have: a single process, which dies with the first page
 * that closes; pages without web security; and OpenGL in software, which costs more than all that is drawn with it.
 */
const UNWANTED = [
  ...["--single-process", "--disable-web-security", "--allow-running-insecure-content"],
  ...["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"],
  ...["--ignore-gpu-blocklist", "--in-process-gpu"],
];

/**
 * Starts the browser. If it cannot start, says why and returns null; with CI set in the environment it throws, so
 * that CI cannot pass without these tests.
 */
export async function startBrowser(): Promise<Browser | null> {
  try {
    return await launcher.launch({
      executablePath: await chromium.executablePath(),
      args: [...chromium.args.filter((arg) => !UNWANTED.includes(arg)), "--disable-gpu"],
      headless: true,
    });
  } catch (error) {
    if (process.env.CI) throw error;
    const [reason] = (error instanceof Error ? error.message : String(error)).split("\n");
    console.warn(`SKIPPED: the browser tests, since no browser starts here: ${reason}`);
    return null;
  }
}

/** Opens the inbox and waits until it is live. `complaints` collects the page's errors. */
export async function openInbox(
  browser: Browser,
  url: string,
  options: { width?: number; height?: number; dark?: boolean } = {},
): Promise<{ page: Page; complaints: string[] }> {
  const context = await browser.newContext({
    viewport: { width: options.width ?? 1280, height: options.height ?? 800 },
    colorScheme: options.dark ? "dark" : "light",
    permissions: ["clipboard-read", "clipboard-write"],
  });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  await page.goto(url);
  await page.locator("#live[data-live=true]").waitFor();
  return { page, complaints };
}

/** The text on the clipboard. */
export function clipboard(page: Page): Promise<string> {
  return page.evaluate<string>("navigator.clipboard.readText()");
}
