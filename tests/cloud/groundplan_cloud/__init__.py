"""moto with AWS's strictness put back. Start reading at server.py; README.md lists what is mended."""
