# syntax=docker/dockerfile:1
# CPU image. Debian, not Alpine: onnxruntime's library needs glibc 2.28 or later.
#
#   docker build -t sdserve .
#   docker run --init -p 127.0.0.1:7860:7860 -v "$HOME/stable-diffusion-webui/models:/data/models:ro" sdserve

FROM node:24-trixie-slim AS build
WORKDIR /app
# The package brings its CPU library along; its install script would only fetch CUDA's.
ENV ONNXRUNTIME_NODE_INSTALL=skip
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY . .
RUN npm run build \
 && npm prune --omit=dev --ignore-scripts \
 && rm -rf dist/benchmarks \
# Libraries of other systems and processors: about 245 of 290 MB.
 && cd node_modules/onnxruntime-node/bin/napi-v6 \
 && rm -rf darwin win32 \
 && find linux -mindepth 1 -maxdepth 1 ! -name "$(node -p process.arch)" -exec rm -rf {} +

FROM node:24-trixie-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app/package.json /app/LICENSE ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY --from=build /app/demo/models ./demo/models
# Mount over any of these. /data also keeps config.json and styles.csv.
RUN mkdir -p /data/models/Stable-diffusion /data/models/Lora /data/models/VAE /data/embeddings /data/outputs \
 && chown -R node:node /data
VOLUME ["/data"]
USER node
EXPOSE 7860
# Flags have environment variables, so that a port given with -e SDSERVE_PORT is also the one checked.
ENV SDSERVE_LISTEN=true SDSERVE_DATA_DIR=/data SDSERVE_PORT=7860
# 401: a password is set, and an answer is all that can be asked for without it.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.SDSERVE_PORT}/health/ready`).then((r) => process.exit(r.ok || r.status === 401 ? 0 : 1), () => process.exit(1))"]
# `docker stop` waits 10 s before it kills; the server takes up to 30 s to finish: stop with -t 40.
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "dist/server/main.js"]
