/** The way in for who has no address with a token: says where the token is. */

import { type FormEvent, type ReactElement, useState } from "react";
import { signIn } from "../data/session.ts";
import { Icon } from "../ui/icon.tsx";
import { Command } from "../ui/states.tsx";

export function SignIn({ problem }: { readonly problem: string | undefined }): ReactElement {
  const [token, setToken] = useState("");
  const [isBusy, setBusy] = useState(false);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    void signIn(token).finally(() => setBusy(false));
  };
  return (
    <main className="sign-in">
      <form onSubmit={submit}>
        <h1>
          <img src="/heddle.svg" alt="" width="28" height="28" /> Heddle
        </h1>
        <label htmlFor="token">Administrator’s token</label>
        <input
          id="token"
          type="password"
          autoComplete="current-password"
          spellCheck={false}
          value={token}
          onChange={(event) => setToken(event.target.value)}
          aria-describedby="where"
        />
        {problem !== undefined && (
          <p className="sign-in-problem" role="alert">
            <Icon name="warning" /> {problem}
          </p>
        )}
        <button type="submit" className="primary" disabled={isBusy || token.trim() === ""}>
          {isBusy ? "Signing in" : "Sign in"}
        </button>
        <div id="where" className="sign-in-where">
          <p>
            Of a lab: open the address that <Command>heddle lab status</Command> prints.
          </p>
          <p>
            Of a server: the file <Command>admin-token</Command> in its data folder.
          </p>
        </div>
      </form>
    </main>
  );
}
