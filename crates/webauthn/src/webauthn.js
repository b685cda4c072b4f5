// Asks the browser for a security key, and sends its answer as a form. The functions have the names that Ory's front ends call.
(() => {
  if (window.__oryWebAuthnInitialized) return;
  window.__oryWebAuthnInitialized = true;

  const decode = (text) => {
    const base64 = text.replace(/-/g, "+").replace(/_/g, "/");
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  };

  const encode = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

  const keys = (list) => list.map((key) => ({ ...key, id: decode(key.id) }));

  // Listeners can tell the user in their own words. Without one, the button is there to try again.
  const failed = (trigger, error) => {
    const event = new CustomEvent("triggerfailed", {
      bubbles: true,
      detail: { name: error.name, message: error.message },
    });
    trigger.dispatchEvent(event);
    console.warn("security key:", error.name, error.message);
  };

  const ask = async (options, resultSelector, triggerSelector, request) => {
    const trigger = document.querySelector(triggerSelector);
    if (!trigger) throw new Error(`there is no ${triggerSelector}`);
    const form = trigger.closest("form");
    const result = (form ?? document).querySelector(resultSelector) ?? document.querySelector(resultSelector);
    if (trigger.dataset.asking) return;
    trigger.dataset.asking = "true";
    try {
      if (!window.PublicKeyCredential) throw new DOMException("this browser has no security keys", "NotSupportedError");
      // A copy: the options may be used again.
      const { publicKey } = JSON.parse(options ? JSON.stringify(options) : trigger.value);
      result.value = JSON.stringify(await request(publicKey));
    } catch (error) {
      failed(trigger, error);
      return;
    } finally {
      delete trigger.dataset.asking;
    }
    // Not form.submit(): a field may have that name.
    HTMLFormElement.prototype.submit.call(form);
  };

  const login = (options, result = '*[name="webauthn_login"]', trigger = '*[name="webauthn_login_trigger"]') =>
    ask(options, result, trigger, async (publicKey) => {
      publicKey.challenge = decode(publicKey.challenge);
      publicKey.allowCredentials = keys(publicKey.allowCredentials ?? []);
      const { id, rawId, type, response } = await navigator.credentials.get({ publicKey });
      return {
        id,
        rawId: encode(rawId),
        type,
        response: {
          authenticatorData: encode(response.authenticatorData),
          clientDataJSON: encode(response.clientDataJSON),
          signature: encode(response.signature),
          userHandle: response.userHandle ? encode(response.userHandle) : "",
        },
      };
    });

  const registration = (
    options,
    result = '*[name="webauthn_register"]',
    trigger = '*[name="webauthn_register_trigger"]',
  ) =>
    ask(options, result, trigger, async (publicKey) => {
      publicKey.challenge = decode(publicKey.challenge);
      publicKey.user.id = decode(publicKey.user.id);
      if (publicKey.excludeCredentials) publicKey.excludeCredentials = keys(publicKey.excludeCredentials);
      const { id, rawId, type, response } = await navigator.credentials.create({ publicKey });
      return {
        id,
        rawId: encode(rawId),
        type,
        response: {
          attestationObject: encode(response.attestationObject),
          clientDataJSON: encode(response.clientDataJSON),
          transports: response.getTransports?.() ?? [],
        },
      };
    });

  window.oryWebAuthnLogin = window.__oryWebAuthnLogin = login;
  window.oryWebAuthnRegistration = window.__oryWebAuthnRegistration = registration;
  window.dispatchEvent(new CustomEvent("oryWebAuthnInitialized"));
})();
