/** The page of the inspector as one text, so that compiling alone builds it. It must name no address outside. */
export const PAGE_HTML = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Bronze Copier: inspector</title></head>
<body><script type="module" src="/page.js"></script></body>
</html>
`;
