/** The objects that have a say, as the user wrote them. */

import { type ReactElement, useState } from "react";
import type { ObjectReference } from "../../../src/model/observation.ts";
import { Icon } from "../ui/icon.tsx";
import { Section } from "../ui/section.tsx";

export function Objects({
  objects,
}: {
  readonly objects: readonly ObjectReference[];
}): ReactElement | null {
  if (objects.length === 0) return null;
  return (
    <Section title="The YAML that made it so" note="every object that has a say in this service">
      <div className="objects">
        {objects.map((object) => (
          <details key={`${object.kind}/${object.namespace}/${object.name}`}>
            <summary>
              <Icon name="chevron" />
              <b>{object.kind}</b> {object.namespace !== "" && `${object.namespace}/`}
              {object.name}
              <span className="dim">{object.apiVersion}</span>
            </summary>
            <div className="yaml">
              <CopyButton text={object.yaml} />
              {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
              <pre tabIndex={0}>
                <Yaml text={object.yaml} />
              </pre>
            </div>
          </details>
        ))}
      </div>
    </Section>
  );
}

/** Keys and comments are told apart from values; more colour would be louder and not clearer. */
function Yaml({ text }: { readonly text: string }): ReactElement {
  return (
    <code>
      {text.split("\n").map((line, number) => {
        const parts = /^(\s*(?:- )?)([^\s:#][^:#]*:)(\s.*)?$/.exec(line);
        const key = `${number}`;
        if (parts === null) return <span key={key}>{`${line}\n`}</span>;
        return (
          <span key={key}>
            {parts[1]}
            <span className="yaml-key">{parts[2]}</span>
            {`${parts[3] ?? ""}\n`}
          </span>
        );
      })}
    </code>
  );
}

function CopyButton({ text }: { readonly text: string }): ReactElement {
  const [isCopied, setCopied] = useState(false);
  return (
    <button
      type="button"
      className="button"
      onClick={() => {
        void navigator.clipboard.writeText(text).then(() => {
          setCopied(true);
          setTimeout(() => setCopied(false), 2_000);
        });
      }}
    >
      <Icon name={isCopied ? "check" : "copy"} /> {isCopied ? "Copied" : "Copy"}
    </button>
  );
}
