/**
 * The two functions of the Reflect metadata proposal that `@peculiar/x509` asks for when it is loaded.
 *
 * It finds its algorithms through a container (tsyringe) that refuses to load without them, but uses them for nothing
 * but lists kept on classes; a whole polyfill of the proposal would be a dependency more for three maps. Imported
 * before the library, for its effect.
 */

interface MetadataReflect {
  getMetadata?: (key: unknown, target: object) => unknown;
  getOwnMetadata?: (key: unknown, target: object) => unknown;
  defineMetadata?: (key: unknown, value: unknown, target: object) => void;
}

const kept = new WeakMap<object, Map<unknown, unknown>>();

function own(key: unknown, target: object): unknown {
  return kept.get(target)?.get(key);
}

const reflect = Reflect as MetadataReflect;
reflect.getOwnMetadata ??= own;
reflect.getMetadata ??= (key, target) => {
  for (let holder: object | null = target; holder; holder = Object.getPrototypeOf(holder)) {
    if (kept.get(holder)?.has(key)) return own(key, holder);
  }
  return undefined;
};
reflect.defineMetadata ??= (key, value, target) => {
  const metadata = kept.get(target) ?? new Map<unknown, unknown>();
  kept.set(target, metadata.set(key, value));
};
