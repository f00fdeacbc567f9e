FROM rust:1.95-bookworm AS build
WORKDIR /src
RUN apt-get update && apt-get install -y --no-install-recommends python3-pip && rm -rf /var/lib/apt/lists/*
COPY scripts/install-pdfium.sh scripts/
RUN scripts/install-pdfium.sh
COPY . .
RUN cargo build --release --locked --bin app

FROM debian:bookworm-slim
# Fonts for PDFs that do not bring their own.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates fonts-dejavu-core fonts-liberation \
    && rm -rf /var/lib/apt/lists/* && useradd --system --create-home app
WORKDIR /app
COPY --from=build /src/target/release/app /usr/local/bin/app
COPY --from=build /src/lib /usr/local/lib/docreader
COPY --from=build /src/models models
ENV PDFIUM_LIB=/usr/local/lib/docreader/libpdfium.so MODEL_PATH=/app/models/default
USER app
EXPOSE 8000
CMD ["app", "serve"]
