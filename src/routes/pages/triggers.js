// Calls the function of a factor's script when its button is pressed, and shows when that failed.
for (const button of document.querySelectorAll("button[data-trigger]")) {
  const form = button.form;
  const failed = form.querySelector("[data-trigger-failed]");
  button.hidden = false;
  button.addEventListener("click", () => {
    failed.hidden = true;
    if (form.reportValidity()) window[button.dataset.trigger]();
  });
  button.addEventListener("triggerfailed", () => {
    failed.hidden = false;
  });
  // Enter in a field means this button, and not a form without an answer.
  form.addEventListener("submit", (event) => {
    if (event.submitter) return;
    event.preventDefault();
    button.click();
  });
}
