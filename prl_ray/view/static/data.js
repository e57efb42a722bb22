// Asks for the data of a page: from the server, or from what an exported file carries.

let carried = null;

// Reads what an exported file carries, if this is one.
export async function open() {
  const element = document.getElementById("data");
  if (!element) return;
  const bytes = Uint8Array.from(atob(element.textContent.trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  carried = await new Response(stream).json();
}

export const exported = () => carried !== null;
export const about = () => carried && carried.about;

// The address of a page's data; parameters in alphabetical order, those that are empty left out.
export function address(page, parameters = {}) {
  const pairs = Object.entries(parameters).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const query = new URLSearchParams(pairs.map(([k, v]) => [k, String(v)]).sort(([a], [b]) => (a < b ? -1 : 1)));
  return pairs.length ? `${page}?${query}` : page;
}

export async function ask(page, parameters = {}) {
  const where = address(page, parameters);
  if (carried) {
    const found = carried.answers[where];
    if (!found) {
      throw new Error("This page is not in the exported file. It holds the newest samples, and of long lists the first page; "
        + "python -m prl_ray.view shows all.");
    }
    if (found.error) throw new Error(found.error);
    return found;
  }
  let response;
  try {
    response = await fetch(`api/${where}`, { cache: "no-cache" });
  } catch {
    throw new Error("The server does not answer. It ends with the command that started it.");
  }
  const data = await response.json().catch(() => ({ error: "The server failed; the terminal that it runs in says why." }));
  if (data.error) throw new Error(data.error);
  return data;
}
