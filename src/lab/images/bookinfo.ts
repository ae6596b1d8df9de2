/**
 * Stand-ins for Istio's Bookinfo: `bookinfo.ts <productpage|details|reviews|ratings> <v1|v2|v3>`.
 *
 * They call each other as the originals do (productpage → details and reviews; reviews v2 and v3 → ratings), answer
 * the same paths with the same JSON, and hand on the same headers. Reviews v1 shows no stars, v2 black ones, v3 red.
 */

import type { OutgoingHttpHeaders } from "node:http";
import { type Answer, callHttp, forwardedHeaders, podName, serveHttp } from "./serving.ts";

const [name = "productpage", version = "v1"] = process.argv.slice(2);
const port = 9080;
const hostOf = (service: string) =>
  `${process.env[`${service.toUpperCase()}_HOSTNAME`] ?? service}:${port}`;

serveHttp([port], async (request, { pathname }) => {
  if (pathname === "/health") return { body: { status: `${name} is healthy`, version } };
  const headers = forwardedHeaders(request);
  switch (name) {
    case "details":
      return pathname.startsWith("/details/") ? details() : missing(pathname);
    case "ratings":
      return pathname.startsWith("/ratings/") ? ratings() : missing(pathname);
    case "reviews":
      return pathname.startsWith("/reviews/") ? reviews(headers) : missing(pathname);
    default:
      return productpage(pathname, headers);
  }
});

function missing(path: string): Answer {
  return { status: 404, body: { error: `${name} has no ${path}` } };
}

function details(): Answer {
  return {
    body: {
      id: 0,
      author: "William Shakespeare",
      year: 1595,
      type: "paperback",
      pages: 200,
      publisher: "PublisherA",
      language: "English",
      "ISBN-10": "1234567890",
      "ISBN-13": "123-1234567890",
    },
  };
}

function ratings(): Answer {
  return { body: { id: 0, ratings: { Reviewer1: 5, Reviewer2: 4 } } };
}

async function reviews(headers: OutgoingHttpHeaders): Promise<Answer> {
  const stars = version === "v1" ? undefined : await starsFrom(headers);
  const texts = [
    "An extremely entertaining play by Shakespeare. The slapstick humour is refreshing!",
    "Absolutely fun and entertaining. The play lacks thematic depth when compared to other plays by Shakespeare.",
  ];
  return {
    body: {
      id: "0",
      podname: podName,
      clustername: "null",
      version,
      reviews: texts.map((text, i) => ({
        reviewer: `Reviewer${i + 1}`,
        text,
        ...(stars === undefined ? {} : { rating: stars(`Reviewer${i + 1}`) }),
      })),
    },
  };
}

async function starsFrom(headers: OutgoingHttpHeaders): Promise<(reviewer: string) => unknown> {
  const color = version === "v2" ? "black" : "red";
  const answer = await callHttp("GET", `http://${hostOf("ratings")}/ratings/0`, headers);
  if (answer.status !== 200) {
    return () => ({ error: "Ratings service is currently unavailable" });
  }
  const counts = answer.body as { ratings?: Record<string, number> };
  return (reviewer) => ({ stars: counts.ratings?.[reviewer] ?? -1, color });
}

async function productpage(path: string, headers: OutgoingHttpHeaders): Promise<Answer> {
  const fetchDetails = () => callHttp("GET", `http://${hostOf("details")}/details/0`, headers);
  const fetchReviews = () => callHttp("GET", `http://${hostOf("reviews")}/reviews/0`, headers);
  switch (path) {
    case "/":
    case "/productpage": {
      const [book, opinions] = await Promise.all([fetchDetails(), fetchReviews()]);
      return { headers: { "content-type": "text/html" }, body: page(book, opinions) };
    }
    case "/api/v1/products":
      return { body: [{ id: 0, title: "The Comedy of Errors" }] };
    case "/api/v1/products/0":
      return relay(await fetchDetails());
    case "/api/v1/products/0/reviews":
      return relay(await fetchReviews());
    default:
      return missing(path);
  }
}

function relay({ status, body }: { status: number; body: unknown }): Answer {
  return { status: status === 0 ? 503 : status, body };
}

function page(
  book: { status: number; body: unknown },
  opinions: { status: number; body: unknown },
): string {
  const about =
    book.status === 200
      ? `<pre>${JSON.stringify(book.body)}</pre>`
      : `<p>Sorry, product details are currently unavailable for this book. (${book.status})</p>`;
  return `<!DOCTYPE html>
<title>Simple Bookstore App</title>
<h3>The Comedy of Errors</h3>
<h4>Book Details</h4>
${about}
<h4>Book Reviews</h4>
${opinions.status === 200 ? reviewsHtml(opinions.body) : `<p>Sorry, product reviews are currently unavailable for this book. (${opinions.status})</p>`}
`;
}

interface Review {
  readonly reviewer: string;
  readonly text: string;
  readonly rating?: { readonly stars?: number; readonly color?: string; readonly error?: string };
}

function reviewsHtml(body: unknown): string {
  const { podname, reviews: list = [] } = body as { podname?: string; reviews?: Review[] };
  const rows = list.map(({ reviewer, text, rating }) => {
    const stars =
      rating?.stars === undefined
        ? (rating?.error ?? "")
        : `<font color="${rating.color}">${"★".repeat(rating.stars)}</font>`;
    return `<blockquote><p>${text}</p><small>${reviewer}</small> ${stars}</blockquote>`;
  });
  return `${rows.join("\n")}\n<dl><dt>Reviews served by:</dt><u>${podname}</u></dl>`;
}
