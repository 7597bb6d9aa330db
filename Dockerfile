# A server of exported .onnx files, without torch: docs/serving.md.
#
#   docker build -t budgetnet .
#   docker run -p 8000:8000 -v "$PWD/runs/photos-1a2b3c4d:/models:ro" -e BUDGETNET_TOKEN budgetnet
#
# Arguments of `budgetnet serve` stand behind the image's name, in place of /models/model.onnx.
FROM python:3.11-slim
WORKDIR /budgetnet
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
# What serving takes, and not all that budgetnet takes: with torch the image would have gigabytes.
RUN python -m pip install --no-cache-dir --constraint constraints.txt \
    cyclopts numpy pillow psutil rich scipy \
    onnx onnxruntime prometheus-client python-multipart starlette uvicorn
RUN python -m pip install --no-cache-dir --no-deps .
USER 1000:1000
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/v2/health/live')"]
ENTRYPOINT ["python", "-m", "budgetnet", "serve", "--host", "0.0.0.0", "--log-format", "json"]
CMD ["/models/model.onnx"]
