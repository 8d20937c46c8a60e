/** Whether a URL's host name is this machine; also 0.0.0.0, which systems treat as such. */
export function isLoopback(hostname: string): boolean {
  return /^(127(\.\d{1,3}){3}|0\.0\.0\.0|\[::1\]|(.+\.)?localhost)$/.test(hostname);
}
