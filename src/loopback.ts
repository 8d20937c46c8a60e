/** This machine, by its names. */

/** Whether a URL's host name is this machine; 0.0.0.0 too, which systems take for it. */
export function isLoopback(hostname: string): boolean {
  return /^(127(\.\d{1,3}){3}|0\.0\.0\.0|\[::1\]|(.+\.)?localhost)$/.test(hostname);
}
