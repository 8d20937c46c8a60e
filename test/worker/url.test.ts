/** Where a webhook may go. */
import { expect, test } from "vitest";
import { WEBHOOK_URL } from "../../src/url.ts";

test.each([
  "https://webhook.site/40984a4e-7b36-41fb-a234-9c2006bac8b5",
  "http://localhost:3000/hook",
  "http://127.0.0.1:9000",
  "http://[::1]:9000/x",
  "HTTPS://Receiver.Example/",
  "https://receiver.example",
  "https://receiver.example:65535/a/b?c=d&e=%20",
  "https://receiver.example?x=1",
  "https://my-host_1.example./",
  "https://xn--bcher-kva.example/",
])("%s is one", (url) => {
  expect(url).toMatch(WEBHOOK_URL);
  expect(URL.canParse(url)).toBe(true);
});

test.each([
  "",
  "receiver.example",
  "//receiver.example/",
  "ftp://receiver.example/",
  "javascript:alert(1)",
  "file:///etc/passwd",
  "https:/receiver.example",
  "https://",
  "https:///path",
  "https://user@receiver.example/",
  "https://user:password@receiver.example/",
  "https://receiver.example/#part",
  "https://receiver.example:0/",
  "https://receiver.example:65536/",
  "https://receiver.example:x/",
  "https://256.1.1.1/",
  "https://1.2.3/",
  "https://[::1/",
  "https://a..b/",
  "https://-a.example/",
  "https://bücher.example/",
  "https://receiver.example/{id}",
  "https://receiver.example/%zz",
  "https://receiver.example/a b",
  "https://receiver.example/\n",
  " https://receiver.example/",
  "https://receiver.example\\@evil.example/",
])("%j is none", (url) => {
  expect(url).not.toMatch(WEBHOOK_URL);
});
