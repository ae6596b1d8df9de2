/** What was derived from an object, remembered for as long as the object lives. */

export function memoized<K extends object, V>(derive: (key: K) => V): (key: K) => V {
  const known = new WeakMap<K, { readonly value: V }>();
  return (key) => {
    const before = known.get(key);
    if (before !== undefined) return before.value;
    const value = derive(key);
    known.set(key, { value });
    return value;
  };
}
