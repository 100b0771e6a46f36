/** What `make` makes, when it is first asked for. */
export function once(make) {
  let made;
  return () => (made ??= make());
}
