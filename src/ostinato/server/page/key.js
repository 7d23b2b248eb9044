// The field for a key: there only if the server asks for one.

import { onKey } from "./api.js";
import { byId, tell } from "./dom.js";

/** Have the page ask for a key when the server does. */
export function takeKeys() {
  onKey(
    (why) =>
      new Promise((resolve) => {
        const [form, field] = [byId("key-form"), byId("key")];
        tell(byId("error"), why);
        form.hidden = false;
        field.focus();
        form.onsubmit = (event) => {
          event.preventDefault();
          form.hidden = true;
          tell(byId("error"), "");
          resolve(field.value.trim());
          field.value = "";
        };
      }),
  );
}
