# docker build -t gan-zoo . && docker run -p 7860:7860 gan-zoo
FROM python:3.11-slim
WORKDIR /zoo
COPY requirements.txt .
RUN pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu "$(grep '^torch==' requirements.txt)" \
    && pip install --no-cache-dir -r requirements.txt
COPY . .
RUN useradd --create-home zoo
USER zoo
ENV GRADIO_SERVER_NAME=0.0.0.0
EXPOSE 7860
HEALTHCHECK CMD python -c "import urllib.request as u; u.urlopen('http://127.0.0.1:7860/health', timeout=5)"
CMD ["python", "app.py"]
